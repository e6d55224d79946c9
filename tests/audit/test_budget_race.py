"""500 reservations at once on a budget for 100, from four processes, killed in the middle."""

import contextlib
import subprocess
import sys
import time

from appliance.audit.event import BudgetChange, Intent, Terminal
from appliance.audit.key import Signer
from appliance.audit.verify import Trust, verify
from appliance.settings import RecorderSettings
from tests.audit.parts import leaves_of
from tests.recording import ORIGIN, ROOT, SEED, RawClient, end, start

LIMIT, RACERS, EACH = 100, 4, 125
CHANGE = BudgetChange(
    actor="rssi", budget="site", hard=True, id="change-0000000001", limit=LIMIT, period="total"
)


def racer(settings: RecorderSettings, number: int) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "tests.audit.racer"]
    argv += [str(settings.socket), f"gateway-{number}", str(EACH)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe)


def outstanding_and_settled(settings: RecorderSettings) -> list[int]:
    """Return, after each leaf, what counts against the budget. From the leaves alone."""
    reserved: dict[str, int] = {}
    used, counts = 0, list[int]()
    for leaf in leaves_of(settings):
        event = leaf.event
        if isinstance(event, Intent):
            reserved[event.request] = event.reserve["site"]
        elif isinstance(event, Terminal):
            del reserved[event.request]
            used += event.spend.get("site", 0)
        counts.append(used + sum(reserved.values()))
    return counts


def race(settings: RecorderSettings, stack: contextlib.ExitStack) -> None:
    """Let four gateways ask; kill two of them, and the recorder twice."""
    recorder = started(settings, stack)
    with RawClient(settings.socket) as client:
        client.append(CHANGE)
    racers = [racer(settings, number) for number in range(RACERS)]
    for one in racers:
        stack.callback(end, one)
        assert one.stdout is not None
        assert one.stdout.readline() == b"ready\n"
    for one in racers:  # all at once: on a busy machine the first would spend it all alone
        assert one.stdin is not None
        with one.stdin as pipe:
            pipe.write(b"go\n")
    for victim in racers[:2]:
        time.sleep(0.3)
        end(victim)
        end(recorder)
        recorder = started(settings, stack)
    for one in racers[2:]:
        assert one.wait(120) == 0


def started(settings: RecorderSettings, stack: contextlib.ExitStack) -> subprocess.Popen[bytes]:
    process = start(settings)
    stack.callback(end, process)
    return process


def test_a_hard_limit_holds_under_kills_and_verify_finds_the_same_remainder(
    recorder_settings: RecorderSettings,
) -> None:
    settings = recorder_settings.model_copy(update={"reattach_timeout": 2})
    with contextlib.ExitStack() as stack:
        race(settings, stack)
        with RawClient(settings.socket) as client:
            deadline = time.monotonic() + 60
            while client.ask("status")["body"]["open"]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            standing = client.ask("status", budgets=["site"])["body"]["budgets"]["site"]
        report = verify(settings.directory, Trust(Signer(ORIGIN, SEED).verifiers))
    counts = outstanding_and_settled(settings)
    assert max(counts) == LIMIT  # the limit was reached, and never passed
    assert standing["used"] == counts[-1] <= LIMIT
    found = report.budgets["site"]
    assert (found.used, found.reserved, found.limit) == (standing["used"], 0, LIMIT)
    assert found.remaining == LIMIT - counts[-1]
    lost = [leaf for leaf in leaves_of(settings) if b'"gateway_lost"' in leaf.text()]
    assert lost  # the kills hit requests that were open

"""The recorder killed while it works: nothing acknowledged is lost, every request ends once."""

import contextlib
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.event import Event, Intent, Kind, Leaf, Terminal
from appliance.audit.key import Signer
from appliance.audit.publisher import CHECKPOINT, LAST_SIGNED
from appliance.audit.tree import Frontier
from appliance.audit.verify import Trust, verify
from appliance.settings import RecorderSettings
from tests.audit.parts import leaves_of
from tests.recording import (
    ORIGIN,
    SEED,
    RawClient,
    completion,
    end,
    intent,
    new_log,
    start,
    stop,
)

KILLS = int(os.environ.get("CASEMATE_KILLS", "12"))
CLIENTS = 6


@dataclass
class Load:
    """Clients that ask and end without a pause, and what they were told."""

    settings: RecorderSettings
    answered: dict[str, int] = field(default_factory=dict)  # event id -> index
    signed: dict[int, set[bytes]] = field(default_factory=dict[int, set[bytes]])
    number: int = 0
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> int:
        with self.lock:
            self.number += 1
            return self.number

    def _append(self, client: RawClient, event: Event, sealed: bytes | None) -> None:
        answer = client.append(event, sealed)
        if "index" in answer:  # else there is no room just now
            self.answered[event.id] = answer["index"]

    def watch(self) -> None:
        """Read what is signed, and what is about to be, as often as it can be read."""
        while not self.over:
            self.look()
            time.sleep(0.002)

    def look(self) -> None:
        for path in (
            self.settings.directory / CHECKPOINT, self.settings.last_signed / LAST_SIGNED,
        ):  # fmt: skip
            with contextlib.suppress(FileNotFoundError):
                text = path.read_text("utf-8").split("\n\n")[0]
                head = Checkpoint.parse(text.rstrip("\n") + "\n")
                self.signed.setdefault(head.size, set()).add(head.root)

    def work(self) -> None:
        """Ask until the recorder is gone."""
        try:
            with RawClient(self.settings.socket) as client:
                while True:
                    number = self.next()
                    asked, ending = intent(number), completion(number, content="sealed")
                    self._append(client, asked, None)
                    if number % 25:  # some are left to the recorder
                        self._append(client, ending, b"key")
        except OSError:
            return


def killed_under_load(load: Load, chance: random.Random) -> None:
    process = start(load.settings)
    load.over = False
    threads = [threading.Thread(target=load.work) for _ in range(CLIENTS)]
    threads.append(threading.Thread(target=load.watch))
    try:
        for thread in threads:
            thread.start()
        enough = len(load.answered) + chance.randrange(20, 400)
        deadline = time.monotonic() + 60
        while len(load.answered) < enough:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(chance.random() * 0.05)  # anywhere between two commits, or in a checkpoint
    finally:
        end(process)
        load.over = True
        for thread in threads:
            thread.join()
        load.look()  # what a kill left half way


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[RecorderSettings]:
    """Small segments and constant checkpoints, so that kills hit them too."""
    settings = new_log(
        tmp_path, segment_bytes=600_000, checkpoint_interval=0.05, reattach_timeout=0.3
    )
    yield settings
    shutil.rmtree(settings.socket.parent)


def test_kills_lose_nothing_and_every_request_ends_once(settings: RecorderSettings) -> None:
    load, chance = Load(settings), random.Random(1)  # noqa: S311 - when to kill is no secret
    for _ in range(KILLS):
        killed_under_load(load, chance)
    process = start(settings)
    with contextlib.ExitStack() as stack:
        stack.callback(end, process)
        client = stack.enter_context(RawClient(settings.socket))
        deadline = time.monotonic() + 60
        while client.ask("status")["body"]["open"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        asked = [n for n in range(1, load.number) if intent(n).id in load.answered]
        for number in (asked[0], asked[len(asked) // 2], asked[-1]):
            answer = client.append(intent(number))
            assert answer["index"] == load.answered[intent(number).id]
        sample = completion(1, content="sealed")
        index = load.answered[sample.id]
        assert client.ask("sealed", index=index)["body"]["sealed"] == "a2V5"
        client.ask("prove", index=0)
        stop(process)
    leaves = leaves_of(settings)
    stored = {leaf.event.id: leaf.index for leaf in leaves}
    assert load.answered.items() <= stored.items()
    check_ends(leaves)
    check_roots(load, [leaf.text() for leaf in leaves])
    facts = [getattr(leaf.event, "kind", None) for leaf in leaves]
    assert facts.count(Kind.AUDIT_START) == KILLS + 1
    report = verify(settings.directory, Trust(Signer(ORIGIN, SEED).verifiers))
    assert (report.records, report.open) == (len(leaves), 0)


def check_roots(load: Load, leaves: list[bytes]) -> None:
    """Check that each size that was ever signed, or nearly, has one root: that of the log."""
    frontier = Frontier()
    roots = {0: frontier.root()}
    for leaf in leaves:
        frontier.add(leaf)
        roots[frontier.size] = frontier.root()
    assert len(load.signed) > KILLS // 2
    assert load.signed == {size: {roots[size]} for size in load.signed}


def check_ends(leaves: list[Leaf]) -> None:
    events = [leaf.event for leaf in leaves]
    intents = [event.request for event in events if isinstance(event, Intent)]
    ends = [event.request for event in events if isinstance(event, Terminal)]
    assert set(Counter(intents).values()) == {1}
    assert Counter(intents) == Counter(ends)

"""Logs for tests, written without a recorder: real leaves, published as the recorder does."""

import base64
from collections.abc import Sequence
from pathlib import Path

from appliance.audit import publisher, volume
from appliance.audit.content import ContentKey, commit
from appliance.audit.event import BudgetChange, Completion, Event, Intent, Leaf
from appliance.audit.key import Signer, keys_text
from appliance.audit.tree import leaf_hash

ORIGIN = "audit.example/demo"
SEED = bytes(range(32))
P256 = bytes(range(64, 96))
SIGNER = Signer(ORIGIN, SEED, P256)
VERIFIER_KEY = SIGNER.verifier.text()  # who knows one key only may ask for no more
VERIFIER_KEYS = keys_text(SIGNER.verifiers)
QUESTION = "Quel est le délai de réponse à une demande de congé ?"
ANSWER = "Le délai est de deux mois [1]. Au-delà, le silence vaut accord [2]."
SEGMENT_BYTES = 64 << 10
START = 1_795_420_800_000_000  # 23 November 2026, in microseconds
POLICY = base64.b64encode(bytes(32)).decode()


def content_key(number: int) -> ContentKey:
    return ContentKey(number.to_bytes(32, "big"))


def event_id(number: int, kind: str) -> str:
    return f"{kind}{number:016d}"


def intent(number: int, tokens: int = 900) -> Intent:
    key = content_key(number).commitment_key("question")
    return Intent(
        actor="sub-of-agent", flags=[], id=event_id(number, "i"), label=1, max_tokens=512,
        model="extraits", policy=POLICY, prompt=commit(key, QUESTION),
        request=event_id(number, "r"), reserve={"site": tokens, "user:sub-of-agent": tokens},
    )  # fmt: skip


def completion(number: int, tokens: int = 300) -> Completion:
    keys = content_key(number)
    return Completion(
        actor="sub-of-agent", answer=commit(keys.commitment_key("answer"), ANSWER),
        completion_tokens=60, content="sealed", duration=41_000, finish="stop", flags=[],
        id=event_id(number, "t"), label=1, outcome="answer",
        prompt=commit(keys.commitment_key("question"), QUESTION), prompt_tokens=240,
        request=event_id(number, "r"), spend={"site": tokens, "user:sub-of-agent": tokens},
        status=200,
    )  # fmt: skip


def budget(limit: int = 1_000_000) -> BudgetChange:
    return BudgetChange(
        actor="site", budget="site", hard=True, id="b" * 20, limit=limit, period="month"
    )


def leaf(index: int, event: Event) -> bytes:
    at = START + index * 20_000
    return Leaf(at=at, boot="boot", event=event, index=index, mono=index, uid=0).text()


def leaves(events: Sequence[Event], start: int = 0) -> list[bytes]:
    return [leaf(start + place, event) for place, event in enumerate(events)]


def exchanges(count: int) -> list[Event]:
    """Return a budget, then `count` requests, each with its end: `1 + 2 * count` events."""
    events: list[Event] = [budget()]
    for number in range(count):
        events += [intent(number), completion(number)]
    return events


def publish(folder: Path, stored: Sequence[bytes]) -> publisher.Publisher:
    """Publish these leaves in `folder`/log, with the last signed root in `folder`/signed."""
    for name in ("log", "signed"):
        (folder / name).mkdir(exist_ok=True)
    publisher.create(folder / "signed", ORIGIN)
    running = publisher.Publisher(folder / "log", folder / "signed", SIGNER)
    running.open([], 0)
    running.publish(stored, [leaf_hash(one) for one in stored])
    return running


def write(folder: Path, stored: Sequence[bytes], signed: int | None = None) -> Path:
    """Write a whole log: its journal in segments, and published as far as `signed` leaves."""
    directory = folder / "log"
    directory.mkdir()
    volume.create(directory, SEED, SEGMENT_BYTES, P256)
    with volume.locked(directory, SEGMENT_BYTES) as locked:
        for at in range(0, len(stored), 7):
            locked.append(stored[at : at + 7])
    publish(folder, stored[:signed])
    return directory

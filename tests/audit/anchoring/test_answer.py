"""What comes back from a witness: lines or a note, and only what the policy names counts."""

import base64
import hashlib

import pytest

from appliance.audit.anchoring.answer import AnchorError, accept, fact_of, join, merge
from appliance.audit.cosignature import WitnessKey
from appliance.audit.event import Kind
from appliance.audit.key import Signer
from appliance.audit.note import Note, Signature, sign
from appliance.audit.policy import Policy
from appliance.errors import FormatError
from tests.audit import logs
from tests.audit.witness.test_request import head

RSSI = WitnessKey("rssi.example/w1", bytes(range(32, 64)))
OTHER = WitnessKey("other.example/w", bytes(32))
POLICY = Policy.parse(
    "".join(f"log {key.text()}\n" for key in logs.SIGNER.verifiers)
    + f"witness rssi {RSSI.cosigner.text()}\nquorum rssi\n"
)
ASKED = sign(head(3).text(), logs.SIGNER)


def line(key: WitnessKey, at: int = 100, size: int = 3) -> str:
    return key.cosign(head(size).text(), at).line()


def test_lines_and_a_whole_note_come_to_the_same() -> None:
    note = join(line(RSSI).encode(), ASKED.to_bytes())
    assert join(note, b"") == note
    anchor = accept(note, POLICY, logs.ORIGIN)
    assert (anchor.head, anchor.times) == (head(3), {"rssi": 100})
    assert anchor.note.to_bytes() == note


def test_lines_of_others_are_dropped() -> None:
    note = join((line(OTHER) + line(RSSI)).encode(), ASKED.to_bytes())
    anchor = accept(note, POLICY, logs.ORIGIN)
    assert [one.name for one in anchor.note.signatures] == [
        logs.ORIGIN, logs.ORIGIN, "rssi.example/w1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\n", id="an empty line"),
        pytest.param(line(RSSI).encode()[:-1], id="cut"),
        pytest.param(b"300\n", id="a size"),
        pytest.param(b"\xff\n", id="no text"),
        pytest.param(line(RSSI).encode() * 17, id="too many"),
        pytest.param(line(RSSI).encode() * 2, id="twice"),
    ],
)
def test_an_answer_that_is_no_lines_is_refused(answer: bytes) -> None:
    with pytest.raises(FormatError):
        accept(join(answer, ASKED.to_bytes()), POLICY, logs.ORIGIN)


FALSE = Signature("rssi.example/w1", RSSI.cosigner.key.key_id, bytes(72)).line()
BROKEN = Note(ASKED.text, (ASKED.signatures[0], sign("x\n", logs.SIGNER).signatures[1]))
FORGED = sign(head(3).text(), Signer(logs.ORIGIN, bytes(32)))


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        pytest.param(line(OTHER), ASKED, id="by nobody of the policy"),
        pytest.param(FALSE, ASKED, id="false line"),
        pytest.param(line(RSSI) + FALSE, ASKED, id="false line beside a true one"),
        pytest.param(line(RSSI, size=4), ASKED, id="of another size"),
        pytest.param(line(RSSI), FORGED, id="not signed by the log"),
        pytest.param(line(RSSI), BROKEN, id="false line of the log"),
        pytest.param(line(RSSI, size=4), sign(head(3).text(), logs.SIGNER), id="other text"),
    ],
)
def test_what_does_not_fit_the_policy_is_no_anchor(answer: str, asked: Note) -> None:
    with pytest.raises(AnchorError):
        accept(join(answer.encode(), asked.to_bytes()), POLICY, logs.ORIGIN)


def test_an_anchor_of_another_log_is_refused() -> None:
    note = join(line(RSSI).encode(), ASKED.to_bytes())
    with pytest.raises(AnchorError, match="not of"):
        accept(note, POLICY, f"{logs.ORIGIN}/e2")


def test_a_merge_keeps_one_line_of_each_key_the_newest() -> None:
    first = accept(join(line(RSSI, 100).encode(), ASKED.to_bytes()), POLICY, logs.ORIGIN).note
    second = accept(join(line(RSSI, 200).encode(), ASKED.to_bytes()), POLICY, logs.ORIGIN).note
    both = merge(first, second)
    assert both == second
    other = Note(ASKED.text, (*ASKED.signatures, OTHER.cosign(ASKED.text, 50)))
    three = merge(second, other)
    assert [one.name for one in three.signatures] == [
        logs.ORIGIN, logs.ORIGIN, "rssi.example/w1", "other.example/w",
    ]  # fmt: skip
    assert RSSI.cosigner.time_of(three) == 200


def test_the_fact_names_size_time_and_the_digest_of_what_is_kept() -> None:
    anchor = accept(join(line(RSSI).encode(), ASKED.to_bytes()), POLICY, logs.ORIGIN)
    fact = fact_of(anchor, "rssi", "file", "local:ada")
    digest = hashlib.sha256(anchor.note.to_bytes()).digest()
    assert fact.kind is Kind.AUDIT_ANCHOR
    assert fact.data == {
        "size": 3, "kind": "file", "name": "rssi", "at": 100,
        "digest": base64.b64encode(digest).decode(),
    }  # fmt: skip
    assert fact == fact_of(anchor, "rssi", "file", "local:ada")
    assert fact.id != fact_of(anchor, "rssi", "witness", "local:ada").id

import msgspec
import pytest

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.epoch import (
    VALID,
    EpochError,
    Statement,
    Succession,
    check_approval,
    epoch_of,
    leaf_data,
    lost,
    origin_of,
    split,
)
from appliance.audit.event import FACTS, Event, Kind, Leaf, fact
from appliance.audit.key import Signer
from appliance.audit.note import Note, Signature, sign
from appliance.errors import FormatError
from tests.audit.logs import SIGNER, intent

LOCAL = Checkpoint("audit.example/demo", 5, bytes([1] * 32))
KNOWN = Checkpoint("audit.example/demo", 9, bytes([2] * 32))
AT = 1_795_420_800_000_000
STATEMENT = Statement(
    agreed=3, at=AT, damaged=False, epoch=2, kept=6,
    known=sign(KNOWN.text(), SIGNER).to_bytes().decode(),
    known_from="/media/rssi/9.note", local=sign(LOCAL.text(), SIGNER).to_bytes().decode(),
    previous="audit.example/demo", proposed_by="camille", reason="baie restaurée",
)  # fmt: skip


def leaf(event: Event, index: int = 0) -> bytes:
    return Leaf(at=AT, boot="boot", event=event, index=index, mono=0, uid=880).text()


def first_leaf(statement: Statement = STATEMENT, **changes: str | int) -> bytes:
    data = leaf_data(statement, "dominique", AT + 60) | changes
    made = FACTS[Kind.AUDIT_EPOCH](actor="recorder", id="e" * 20, data=data)
    return leaf(made)


def test_an_origin_names_its_epoch() -> None:
    assert [origin_of("a/b", n) for n in (1, 2, 12)] == ["a/b", "a/b/e2", "a/b/e12"]
    assert [epoch_of(name) for name in ("a/b", "a/b/e2", "a/b/e12")] == [1, 2, 12]
    assert [epoch_of(name) for name in ("a/e1", "a/b/e02", "e3", "a/e2\n")] == [1, 1, 1, 1]


def test_a_statement_has_one_form_and_a_code() -> None:
    assert Statement.parse(STATEMENT.to_bytes()) == STATEMENT
    assert len(STATEMENT.code()) == 19
    assert msgspec.structs.replace(STATEMENT, kept=7).code() != STATEMENT.code()
    for data in (b"", b"{}", STATEMENT.to_bytes() + b"\n", b"\xff"):
        with pytest.raises(FormatError):
            Statement.parse(data)


def test_another_person_approves_by_the_code_and_within_a_day() -> None:
    code = STATEMENT.code()
    check_approval(STATEMENT, f" {code.upper()} ", "dominique", AT + VALID)
    for person, typed, now, why in (
        ("camille", code, AT, "another person"),
        ("dominique", "0000-0000-0000-0000", AT, "not the code"),
        ("dominique", code, AT + VALID + 1, "older than a day"),
        ("dominique", code, AT - 1, "older than a day"),
    ):
        with pytest.raises(EpochError, match=why):
            check_approval(STATEMENT, typed, person, now)


def test_what_is_lost_is_what_is_known_and_not_here() -> None:
    assert lost(STATEMENT) == (6, 9)
    assert lost(msgspec.structs.replace(STATEMENT, kept=9)) == (3, 9)  # other records are here
    assert lost(msgspec.structs.replace(STATEMENT, kept=12, agreed=9)) == (9, 9)


def test_the_first_leaf_says_what_the_statement_said() -> None:
    found = Succession.parse(first_leaf())
    assert (found.epoch, found.previous, found.kept) == (2, "audit.example/demo", 6)
    assert (found.lost, found.damaged) == ((6, 9), False)
    assert found.people == ("camille", "dominique")
    assert found.known_from == "/media/rssi/9.note"
    assert found.known == sign(KNOWN.text(), SIGNER)
    assert found.local == sign(LOCAL.text(), SIGNER)
    found.known.verify(SIGNER.verifier)


def test_both_signatures_of_a_log_travel_and_those_of_others_do_not() -> None:
    both = Signer("audit.example/demo", bytes(range(32)), bytes(31) + b"\7")
    witness = Signature("rssi.example/w1", b"abcd", bytes(72))
    note = sign(KNOWN.text(), both)
    cosigned = Note(note.text, (*note.signatures, witness)).to_bytes().decode()
    statement = msgspec.structs.replace(STATEMENT, known=cosigned)
    found = Succession.parse(first_leaf(statement))
    assert found.known == note
    for key in both.verifiers:
        found.known.verify(key)


def test_a_checkpoint_that_was_only_about_to_be_signed_stands_without_signature() -> None:
    statement = msgspec.structs.replace(STATEMENT, known=KNOWN.text(), local="")
    found = Succession.parse(first_leaf(statement))
    assert (found.known, found.local) == (Note(KNOWN.text(), ()), None)


def test_more_signatures_than_a_log_has_are_refused() -> None:
    lines = tuple(Signature("audit.example/demo", bytes([n] * 4), b"x") for n in range(5))
    with pytest.raises(FormatError, match="too many"):
        split(Note(KNOWN.text(), lines).to_bytes().decode())


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(leaf(intent(0)), id="another record"),
        pytest.param(first_leaf(known_root="AAAA"), id="root too short"),
        pytest.param(first_leaf(known_root="é"), id="no base64"),
        pytest.param(first_leaf(kept="many"), id="no number"),
        pytest.param(first_leaf(known_sig_0="A"), id="no signature"),
        pytest.param(leaf(fact(Kind.AUDIT_EPOCH, "recorder", "e" * 20)), id="empty"),
    ],
)
def test_what_no_epoch_begins_with_is_refused(stored: bytes) -> None:
    with pytest.raises(FormatError):
        Succession.parse(stored)

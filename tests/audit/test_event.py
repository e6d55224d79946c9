import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audit.event import (
    EVENT_BYTES_MAX,
    FACTS,
    HOT,
    OWN,
    TYPES,
    BudgetChange,
    Fact,
    Kind,
    Leaf,
    encode,
    event_type,
    fact,
    is_id,
    leaf_text,
    parse,
    type_of,
)
from appliance.audit.journal import LEAF_BYTES_MAX
from appliance.errors import FormatError
from tests.recording import DIGEST, completion, intent

SUBJECTS = {
    "llm", "auth", "authz", "rag", "tool", "human", "model", "service", "config", "policy",
    "admin", "key", "content", "budget", "evidence", "gate", "clock", "audit",
    "install",
}  # fmt: skip

CHANGE = BudgetChange(
    actor="rssi", budget="user:*", hard=True, id="change-0000000001", limit=5, period="day"
)
RETRIEVED = fact(
    Kind.RAG_RETRIEVE, "ada", "fact-000000000001", label=2, request="request-00000001",
    collection="rh", found=3,
)  # fmt: skip
EVENTS = [intent(1), completion(1), CHANGE, RETRIEVED]


@pytest.mark.parametrize("event", EVENTS, ids=event_type)
def test_an_event_is_read_back_from_its_bytes(event: object) -> None:
    assert parse(encode(event)) == event


@pytest.mark.parametrize("event", EVENTS, ids=event_type)
def test_the_bytes_are_those_of_rfc_8785(event: object) -> None:
    text = encode(event)
    canonical = json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert text == canonical.encode()


def test_any_json_form_of_an_event_has_the_same_bytes() -> None:
    pretty = json.dumps(json.loads(encode(intent(1))), indent=2)
    assert encode(parse(pretty.encode())) == encode(intent(1))


def test_types_belong_to_the_closed_vocabulary() -> None:
    parts = [name.split(".") for name in TYPES]
    assert {(first, last) for first, _, _, last in parts} == {("casemate", "v1")}
    assert {subject for _, subject, _, _ in parts} <= SUBJECTS
    assert len(TYPES) == len(HOT) + len(FACTS) == len(HOT) + len(Kind)


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_of_fact_keeps_its_type(kind: Kind) -> None:
    event = parse(encode(fact(kind, "ada", "fact-000000000001", place="rack 4", days=-3)))
    assert isinstance(event, Fact)
    assert event.kind is kind
    assert event_type(event) == type_of(FACTS[kind]) == kind
    assert event.data == {"place": "rack 4", "days": -3}


def test_what_the_recorder_alone_writes_is_a_kind() -> None:
    assert set(Kind) > OWN


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(encode(intent(1))), **fields}).encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"\xff{}", id="no UTF-8"),
        pytest.param(changed(type="casemate.llm.request.v2"), id="type of another version"),
        pytest.param(changed(type="casemate.llm.other.v1"), id="type that is none"),
        pytest.param(changed(prompt="the prompt itself"), id="a text where a digest belongs"),
        pytest.param(changed(question="text"), id="field too many"),
        pytest.param(changed(id="short"), id="id too short"),
        pytest.param(changed(id="i" * 65), id="id too long"),
        pytest.param(changed(id="i" * 15 + "\n"), id="id with a line end"),
        pytest.param(changed(id="é" * 16), id="id of other letters"),
        pytest.param(changed(max_tokens=1.5), id="float"),
        pytest.param(changed(max_tokens=-1), id="negative"),
        pytest.param(changed(max_tokens=2**53), id="number that JavaScript rounds"),
        pytest.param(changed(actor="a" * 201), id="name too long"),
        pytest.param(changed(reserve={"": 1}), id="budget without a name"),
        pytest.param(changed(reserve={f"b{n}": 1 for n in range(9)}), id="nine budgets"),
        pytest.param(changed(flags=["f" * 150] * 30), id="event too long"),
        pytest.param(changed(label=None), id="no label"),
        pytest.param(encode(completion(1)).replace(b'"none"', b'"all"'), id="content"),
        pytest.param(encode(CHANGE).replace(b'"day"', b'"year"'), id="period"),
        pytest.param(encode(RETRIEVED).replace(b'"rh"', b'{"a":1}'), id="data in data"),
        pytest.param(encode(RETRIEVED).replace(b'"rh"', b"0.5"), id="float in data"),
    ],
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        parse(body)


@given(st.text(max_size=70))
def test_an_id_is_16_to_64_ascii_letters_digits_and_two_signs(text: str) -> None:
    plain = text.isascii() and text.replace("-", "0").replace("_", "0").isalnum()
    assert is_id(text) == (16 <= len(text) <= 64 and plain)


@pytest.mark.parametrize("event", EVENTS, ids=event_type)
def test_a_leaf_written_fast_is_the_one_written_by_the_struct(event: object) -> None:
    text = leaf_text(encode(event), 7, (1, 2), (b"boot", 1000))
    leaf = Leaf.parse(text)
    assert leaf == Leaf(at=1, boot="boot", event=event, index=7, mono=2, uid=1000)  # type: ignore[arg-type]
    assert leaf.text() == text


def test_a_leaf_of_the_longest_event_fits_the_journal() -> None:
    numbers = 2**63, 2**63
    boot = b"f7b2ee82-cb3a-4e2a-b038-cd8df3ecb77d"
    leaf = leaf_text(b"e" * EVENT_BYTES_MAX, 2**63, numbers, (boot, 2**32))
    assert len(leaf) <= LEAF_BYTES_MAX


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((b'"index":7', b'"index": 7'), id="space"),
        pytest.param((b'"at":1', b'"at":1.0'), id="float"),
        pytest.param((b'"uid":1000', b'"uid":1000,"more":1'), id="field too many"),
        pytest.param((b'"label":1', b'"label":1,"label":1'), id="key twice"),
        pytest.param((b'"stream":false', b'"stream":"no"'), id="event that is none"),
    ],
)
def test_a_leaf_that_is_not_canonical_is_refused(change: tuple[bytes, bytes]) -> None:
    text = leaf_text(encode(intent(1)), 7, (1, 2), (b"boot", 1000))
    assert change[0] in text
    with pytest.raises(FormatError):
        Leaf.parse(text.replace(*change))


def test_a_leaf_has_no_room_for_content() -> None:
    names = {field.name for struct in HOT for field in msgspec.structs.fields(struct)}
    assert not names & {"text", "content_text", "question", "messages", "body", "passage"}
    with pytest.raises(FormatError):
        parse(encode(intent(1, prompt="What is my leave balance?")))
    assert len(DIGEST) == 44

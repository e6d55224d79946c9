import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audit import frame
from appliance.audit.event import EVENT_BYTES_MAX, Event
from appliance.audit.frame import Answer, Append, Attach, Prove, Read, Status, Unpacker, Unseal
from appliance.errors import FormatError
from tests.recording import completion, intent

REQUESTS = [
    Append([intent(1), completion(2)], 7, {completion(2).id: b"key"}, 12),
    Attach("gateway-0", [intent(1).request], 1),
    Status(2),
    Status(2, None),
    Read(10, 3, -10),
    Prove(5, 4),
    Unseal(6, 5),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_a_request_is_read_back(request_: frame.Request) -> None:
    body = msgspec.json.encode(request_)
    assert msgspec.json.decode(body, type=frame.Request) == request_


def test_the_operations_are_those_of_the_protocol() -> None:
    found = {msgspec.json.decode(msgspec.json.encode(request))["op"] for request in REQUESTS}
    assert found == {"append", "attach", "status", "read", "prove", "sealed"}
    read = msgspec.json.decode(msgspec.json.encode(Read(10, 3, -10)))
    assert read == {"op": "read", "from": -10, "max": 10, "ref": 3}


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(Append([], 1), id="append of nothing"),
        pytest.param(Append([intent(1)] * (frame.EVENTS_MAX + 1), 1), id="too many events"),
        pytest.param(Append([intent(1)], 1, {intent(1).id: bytes(257)}), id="key too long"),
        pytest.param(Attach("", [], 1), id="no name"),
        pytest.param(Attach("g", ["short"], 1), id="request that is none"),
        pytest.param(Prove(-1, 1), id="index below zero"),
        pytest.param(Unseal(2**53, 1), id="index too large"),
    ],
)
def test_a_request_past_the_bounds_is_refused(request_: frame.Request) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(request_), type=frame.Request)


def test_the_longest_append_is_a_frame() -> None:
    key = len(msgspec.json.encode({"i" * 64: bytes(frame.SEALED_BYTES_MAX)}))
    assert frame.EVENTS_MAX * (EVENT_BYTES_MAX + key) < frame.FRAME_BYTES_MAX


def test_an_answer_says_only_what_it_has_to_say() -> None:
    assert msgspec.json.encode(Answer(3, 5, "leaf")) == b'{"ref":3,"index":5,"leaf":"leaf"}'
    assert msgspec.json.encode(Answer(0, stopped=False)) == b'{"ref":0,"stopped":false}'


@given(st.lists(st.binary(max_size=30), max_size=8), st.lists(st.integers(1, 40)))
def test_frames_are_found_wherever_the_stream_is_cut(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream, unpacker, found = b"".join(map(frame.pack, bodies)), Unpacker(100), []
    for cut in [*cuts, len(stream)]:
        found += list(unpacker.feed(stream[:cut]))
        stream = stream[cut:]
    assert found == bodies


def test_a_frame_that_is_too_long_is_refused_before_it_is_there() -> None:
    with pytest.raises(FormatError, match="too long"):
        list(Unpacker(100).feed((101).to_bytes(4, "big")))


def test_events_in_a_row_are_one_request_and_questions_stand_alone() -> None:
    question = Status(0)
    entries: list[tuple[int, Event | frame.Question, bytes | None]] = [
        (3, intent(1), None), (4, completion(2), b"key"), (5, question, None),
        (6, intent(3), None), (9, intent(4), None),
    ]  # fmt: skip
    assert frame.gather(entries, sent=7) == [
        Append([intent(1), completion(2)], 3, {completion(2).id: b"key"}, 7),
        Status(5),
        Append([intent(3)], 6, {}, 7),
        Append([intent(4)], 9, {}, 7),
    ]


def test_a_request_takes_no_more_events_than_it_may() -> None:
    entries = [(ref, intent(ref), None) for ref in range(1, 2 * frame.EVENTS_MAX + 2)]
    found = frame.gather(entries, sent=7)
    assert [(r.ref, len(r.events)) for r in found if isinstance(r, Append)] == [
        (1, 256), (257, 256), (513, 1),
    ]  # fmt: skip

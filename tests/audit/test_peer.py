import asyncio
import os
import socket
from typing import Any, cast

import msgspec
import pytest

from appliance.audit import peer
from appliance.audit.event import encode
from appliance.audit.frame import Answer, Append, Request, Status, pack
from appliance.audit.peer import Peer
from appliance.errors import FormatError
from tests.recording import completion, intent


def append(*events: object, **fields: object) -> bytes:
    raws = [
        msgspec.Raw(event if isinstance(event, bytes) else encode(event)) for event in events
    ]
    return msgspec.json.encode({"op": "append", "ref": 5, "events": raws, **fields})


def test_events_of_one_frame_are_read_together() -> None:
    requests, refused = peer.parse(append(intent(1), intent(2), sent=9))
    assert requests == [Append([intent(1), intent(2)], 5, {}, 9)]
    assert refused == []


def test_an_event_that_is_none_is_refused_and_the_others_are_not() -> None:
    wrong = encode(intent(2)).replace(b'"label":1', b'"label":-1')
    key = {completion(3).id: msgspec.Raw(b'"a2V5"')}
    requests, refused = peer.parse(append(intent(1), wrong, completion(3), sealed=key, sent=9))
    assert requests == [
        Append([intent(1)], 5, {}, 9),
        Append([completion(3)], 7, {completion(3).id: b"key"}, 9),
    ]
    assert [(answer.ref, answer.error) for answer in refused] == [(6, FormatError.code)]
    assert "label" in refused[0].detail


def test_an_event_whose_key_is_none_is_refused() -> None:
    key = {completion(3).id: msgspec.Raw(msgspec.json.encode(bytes(257)))}
    requests, refused = peer.parse(append(intent(1), completion(3), sealed=key))
    assert requests == [Append([intent(1)], 5)]
    assert [answer.ref for answer in refused] == [6]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"\xff", b'{"op":"append"}', b'{"op":"other","ref":1}',
        b'{"op":"status","ref":"x"}', b'{"op":"append","ref":1,"events":{}}',
    ],
)  # fmt: skip
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError, match="not a frame"):
        peer.parse(body)


def test_the_kernel_says_who_calls() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer.uid_of(one) == os.getuid()


def test_the_user_id_is_the_second_number() -> None:
    class Fake:
        def getsockopt(self, *asked: int) -> bytes:
            assert asked == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return b"".join(number.to_bytes(4, "little") for number in (11, 22, 33))

    assert peer.uid_of(cast("socket.socket", Fake())) == 22


class Transport:
    """What a peer asks of its connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.written, self.calls = sock, b"", list[str]()

    def get_extra_info(self, name: str) -> Any:
        return {"socket": self.sock}[name]

    def write(self, data: bytes) -> None:
        self.written += data

    def __getattr__(self, name: str) -> Any:
        return lambda: self.calls.append(name)


@pytest.fixture
def taken() -> list[Request]:
    return []


@pytest.fixture
def transport() -> Any:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        yield Transport(one)


@pytest.fixture
def connected(taken: list[Request], transport: Any) -> Peer:
    tested = Peer(lambda _, request: taken.append(request), lambda _: taken.clear())
    tested.connection_made(cast("asyncio.Transport", transport))
    return tested


def test_a_peer_is_whom_the_kernel_says(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "uid_of", lambda sock: 4242 if sock is transport.sock else -1)
    tested = Peer(lambda *_: None, lambda _: None)
    tested.connection_made(cast("asyncio.Transport", transport))
    assert tested.uid == 4242


def test_requests_are_passed_on_as_they_become_whole(
    connected: Peer, taken: list[Request]
) -> None:
    stream = pack(append(intent(1))) + pack(b'{"op":"status","ref":2}')
    for byte in stream:
        connected.data_received(bytes([byte]))
    assert taken == [Append([intent(1)], 5), Status(2)]
    assert connected.uid == os.getuid()


def test_a_refused_event_is_answered_by_itself(connected: Peer, transport: Transport) -> None:
    connected.data_received(pack(append(b"{}")))
    [answer] = msgspec.json.decode(transport.written[4:], type=list[Answer])
    assert (answer.ref, answer.error) == (5, "CM-NET-01")
    assert transport.calls == []


@pytest.mark.parametrize(
    "data", [pack(b"{"), b"\xff\xff\xff\xff"], ids=["not JSON", "too long"]
)
def test_a_frame_that_is_none_ends_the_connection(
    connected: Peer, transport: Transport, data: bytes
) -> None:
    connected.data_received(data)
    assert transport.calls == ["abort"]


def test_a_client_that_does_not_read_is_not_read(connected: Peer, transport: Transport) -> None:
    connected.pause_writing()
    connected.resume_writing()
    assert transport.calls == ["pause_reading", "resume_reading"]


def test_after_the_end_nothing_is_written(
    connected: Peer, transport: Transport, taken: list[Request]
) -> None:
    connected.data_received(pack(b'{"op":"status","ref":2}'))
    connected.connection_lost(None)
    connected.send([Answer(1)])
    assert (transport.written, taken) == (b"", [])

"""Lines for the collector of the site: RFC 5424 messages, framed as RFC 5425 wants.

A line of a leaf holds the stored bytes of the leaf, unchanged, so that a copy at the collector
can be hashed and compared; a leaf that does not fit into one line goes as parts, to be put
together in order. Structured data, with the enterprise number that RFC 5612 keeps for documents
unless the site has one of its own:

    log     origin: keys are (log, idx)
    idx     index of the leaf
    leaf    base64 of its RFC 6962 hash
    type    of the event; `checkpoint` for a signed checkpoint, which has `size` and `root`
    again   "1": this line may have been sent before; whoever has `idx` already drops it
    part    "1/2": the leaf is longer than a line
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.note import Note
from appliance.audit.tree import leaf_hash
from appliance.errors import FormatError

LINE_BYTES_MAX = 4_000  # collectors cut longer ones, or no longer see JSON in them
APPLICATION = "casemate-log"
CHECKPOINT = "checkpoint"
_PRIORITY = 13 * 8 + 6  # facility « log audit », severity « informational »
_MSGID_CHARS_MAX = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNKNOWN = "-"
_PART = ' part="9/9"'
_INSIDE, _MASK = 0x80, 0xC0  # of a byte inside a letter of UTF-8


class _Event(msgspec.Struct):
    type: str


class _Leaf(msgspec.Struct):
    """What a line says of a leaf besides its bytes."""

    at: int  # microseconds since 1970
    event: _Event
    index: int


_head = msgspec.json.Decoder(_Leaf).decode


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks, on each line."""

    host: str  # name of the machine
    origin: str  # of the log
    enterprise: int = 32473  # private enterprise number of RFC 5424, 7.2.2


def index_of(stored: bytes) -> int:
    """Return the index of a stored leaf, which the recorder vouches for.

    Raises:
        FormatError: Not a leaf.
    """
    return _parsed(stored).index


def leaf_lines(voice: Voice, stored: bytes, *, again: bool = False) -> list[bytes]:
    """Return the line of a leaf; several when it does not fit into one.

    Args:
        voice: Who speaks.
        stored: The leaf as the recorder stores it.
        again: Whether it may have been sent before.

    Raises:
        FormatError: Not a leaf.
    """
    head = _parsed(stored)
    kind = head.event.type
    told = {"log": voice.origin, "idx": str(head.index), "leaf": _base64(leaf_hash(stored)),
            "type": kind}  # fmt: skip
    if again:
        told["again"] = "1"
    start = _header(voice, head.at, kind.removeprefix("casemate.").removesuffix(".v1"))
    data = _structured(voice, told)
    room = LINE_BYTES_MAX - len(f"{start} {data} ".encode())
    if len(stored) <= room:
        return [f"{start} {data} ".encode() + stored]
    parts = list(_cut(stored, room - len(_PART)))
    return [
        f"{start} {_structured(voice, told | {'part': f'{n}/{len(parts)}'})} ".encode() + part
        for n, part in enumerate(parts, start=1)
    ]


def checkpoint_line(voice: Voice, note: bytes, at: int) -> bytes:
    """Return the line of a signed checkpoint; its note is in the message, as a JSON string.

    Of a note with more cosignatures than fit, the first ones stay: each stands by itself.

    Args:
        voice: Who speaks.
        note: As it is published.
        at: Of sending, microseconds since 1970.

    Raises:
        FormatError: Not a checkpoint, or longer than a line with one signature.
    """
    parsed = Note.parse(note)
    head = Checkpoint.parse(parsed.text)
    told = {"log": head.origin, "size": str(head.size), "root": _base64(head.root),
            "type": CHECKPOINT}  # fmt: skip
    start = f"{_header(voice, at, CHECKPOINT)} {_structured(voice, told)} ".encode()
    for count in range(len(parsed.signatures), 0, -1):
        kept = Note(parsed.text, parsed.signatures[:count]).to_bytes()
        line = start + msgspec.json.encode({"note": kept.decode()})
        if len(line) <= LINE_BYTES_MAX:
            return line
    raise FormatError("the checkpoint is longer than a line")


def framed(line: bytes) -> bytes:
    """Return the line with its length before it: octet counting, RFC 5425, 4.3.1."""
    return b"%d %b" % (len(line), line)


def _parsed(stored: bytes) -> _Leaf:
    try:
        return _head(stored)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"not a leaf: {exc}") from exc


def _header(voice: Voice, at: int, message: str) -> str:
    return (
        f"<{_PRIORITY}>1 {_time(at)} {voice.host} {APPLICATION} - {message[:_MSGID_CHARS_MAX]}"
    )


def _time(at: int) -> str:
    """Return RFC 3339; a clock beyond all years is no reason to keep a line back."""
    try:
        moment = _EPOCH + timedelta(microseconds=at)
    except OverflowError:
        return _UNKNOWN
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _structured(voice: Voice, values: dict[str, str]) -> str:
    named = "".join(f' {name}="{_escaped(value)}"' for name, value in values.items())
    return f"[casemate@{voice.enterprise}{named}]"


def _escaped(value: str) -> str:
    """Escape as RFC 5424, 6.3.3, says."""
    for char in '\\"]':
        value = value.replace(char, f"\\{char}")
    return value


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    """Yield parts of `size` bytes at most, never inside a letter of UTF-8."""
    while data:
        end = min(size, len(data))
        while end < len(data) and data[end] & _MASK == _INSIDE:
            end -= 1
        yield data[:end]
        data = data[end:]


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()

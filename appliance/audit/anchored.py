"""What the log knows of its anchors: the facts `audit.anchor`, and the last of them.

    {"kind": "witness", "name": who keeps it, "size": leaves, "at": seconds since 1970,
     "digest": base64 of the SHA-256 of the note that is kept}

The recorder takes such a fact from who brought the anchor outside, and checks only what it can:
that it has so many records. The file `anchored` beside the snapshot holds the last one, so that
a recorder that starts knows it without reading the whole log.
"""

from collections.abc import Sequence

import msgspec

from appliance.audit.event import Digest, Fact, Kind, Leaf, Number, Short
from appliance.audit.event import Event as _Event
from appliance.audit.frame import Anchored
from appliance.errors import FormatError

FILE = "anchored"
KINDS = ("witness", "file", "paper", "usb", "syslog")
_TYPE = b'"type":"%b"' % Kind.AUDIT_ANCHOR.encode()


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """The data of a fact."""

    size: Number
    at: Number
    kind: str
    digest: Digest
    name: Short = ""


def anchor_of(event: _Event, size: int) -> Anchored | None:
    """Return the anchor that an event tells of; None: it tells of none.

    Args:
        event: Not yet admitted.
        size: Leaves of the log.

    Raises:
        FormatError: It is not whole, or of more records than there are.
    """
    if not isinstance(event, Fact) or event.kind is not Kind.AUDIT_ANCHOR:
        return None
    try:
        said = msgspec.convert(event.data, type=_Said)
    except msgspec.ValidationError as exc:
        raise FormatError(f"not an anchor: {exc}") from exc
    if said.kind not in KINDS or not 0 < said.size <= size:
        raise FormatError("an anchor is of a known kind, and of records that are in the log")
    return Anchored(said.size, said.at, said.kind)


def later(one: Anchored | None, other: Anchored | None) -> Anchored | None:
    """Return the one that says more: of more records, or of as many at a later time."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda anchored: (anchored.size, anchored.at))


def last_in(leaves: Sequence[bytes]) -> Anchored | None:
    """Return the last anchor that these stored leaves tell of."""
    last: Anchored | None = None
    for stored in leaves:
        if _TYPE in stored:
            leaf = Leaf.parse(stored)
            last = later(last, anchor_of(leaf.event, leaf.index))
    return last


def to_file(anchored: Anchored) -> bytes:
    """Return the file."""
    return msgspec.json.encode(anchored)


def from_file(data: bytes, size: int) -> Anchored | None:
    """Read the file; None: it is damaged, or of another log. It is a memory, no evidence.

    Args:
        data: Of the file.
        size: Leaves of the log.
    """
    try:
        found = msgspec.json.decode(data, type=Anchored)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if 0 < found.size <= size else None

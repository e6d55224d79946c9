"""The journal of an installation: JSON Lines, each line holding the digest of the one before.

Pure: bytes in, bytes out. A line is canonical JSON (sorted keys, no float). The chain shows an
edited, removed or moved line; lines cut off at the end are shown by the head that the signed
report holds. A torn last line is what a power cut leaves, and is cut by the next start.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from appliance.errors import VerificationError

START = "0" * 64
OWN_FIELDS = frozenset({"n", "prev", "at", "event"})
Value = str | int | bool | list[str] | Mapping[str, str | int | bool]


class BrokenChainError(VerificationError):
    """A line of the journal is not what was written."""

    code = "CM-INS-62"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a journal ends."""

    lines: int
    digest: str  # SHA-256 of the last line without its end, hex; `START` when there is none


EMPTY = Head(0, START)


def line(head: Head, at: str, event: str, fields: Mapping[str, Value]) -> bytes:
    """Return the next line, with its end.

    Args:
        head: Where the journal ends.
        at: UTC time, ISO 8601, as the wall clock said.
        event: Its kind, such as `phase.done`.
        fields: Of the event; none of them is one of the chain's own.
    """
    assert not fields.keys() & OWN_FIELDS, "own fields of the chain"
    entry = {**fields, "n": head.lines, "prev": head.digest, "at": at, "event": event}
    return msgspec.json.encode(entry, order="sorted") + b"\n"


def after(head: Head, written: bytes) -> Head:
    """Return the head once a line is written."""
    return Head(head.lines + 1, hashlib.sha256(written.removesuffix(b"\n")).hexdigest())


def whole(stored: bytes) -> bytes:
    """Return the stored bytes without a torn last line."""
    return stored[: stored.rfind(b"\n") + 1]


def read(stored: bytes) -> Iterator[dict[str, Any]]:
    """Yield the entries of a journal in order, each checked against the one before.

    Raises:
        BrokenChainError: Names the first line that is not what was written.
    """
    head = EMPTY
    for written in stored.splitlines(keepends=True):
        number = head.lines + 1
        try:
            entry = msgspec.json.decode(written, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise BrokenChainError(f"ligne {number} illisible / line {number}: {exc}") from exc
        follows = entry.get("prev") == head.digest and entry.get("n") == head.lines
        canonical = msgspec.json.encode(entry, order="sorted") + b"\n" == written
        if not (follows and canonical):
            raise BrokenChainError(
                f"La ligne {number} du journal n’est plus la même, ou celle d’avant a "
                f"changé. / Line {number} is not what was written, or the one before changed."
            )
        yield entry
        head = after(head, written)


def head_of(stored: bytes) -> Head:
    """Return where a journal ends, once it is checked whole.

    Raises:
        BrokenChainError: It is not what was written.
    """
    head = EMPTY
    for _ in read(stored):
        head = Head(head.lines + 1, "")
    last = stored.splitlines()[-1] if stored else b""
    return Head(head.lines, hashlib.sha256(last).hexdigest()) if stored else EMPTY

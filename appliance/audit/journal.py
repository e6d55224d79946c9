"""Journal of the recorder: leaves to bytes, and back.

A segment is `MAGIC ‖ u64 index of its first leaf`, then records, then zeros that were written
ahead. A record is what one fdatasync made durable, one leaf or many: `u32 length ‖ u32 CRC-32
of (length ‖ payload) ‖ payload`, where the payload is `(u16 length ‖ leaf)+`, the encoding of a
tlog-tiles entry bundle (https://c2sp.org/tlog-tiles). Integers are big-endian.

Invariant: record n + 1 is written only once record n is durable. A broken last record was
therefore never acknowledged and may be dropped; one that whole records follow is damage.
Were each leaf its own record, a power cut that loses a page in the middle of a batch would
look like damage. The CRC finds torn writes; against people there are signatures.
"""

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.errors import FormatError

MAGIC = b"casemate-journal/v1\n"
LEAF_BYTES_MAX = 4096
LEAVES_MAX = 2048  # in one record
PAYLOAD_BYTES_MAX = LEAVES_MAX * (2 + LEAF_BYTES_MAX)

_FIRST = struct.Struct(">Q")
HEADER_BYTES = len(MAGIC) + _FIRST.size
_HEAD = struct.Struct(">II")  # length, CRC-32
RECORD_OVERHEAD = _HEAD.size
_LENGTH = struct.Struct(">H")
# Lengths are below 2**24 and not zero: a head starts so, and a run of zeros holds none.
_HEAD_START = re.compile(rb"\x00(?!\x00\x00\x00)")


@dataclass(frozen=True, slots=True)
class Scan:
    """The whole records of a segment: their leaves, and the offset where they end."""

    first: int  # index of the first leaf
    leaves: list[bytes]
    end: int  # bytes
    torn: int  # bytes of a broken last record; zeros are none

    @property
    def next(self) -> int:
        """Index of the leaf that would come next."""
        return self.first + len(self.leaves)


def header(first: int) -> bytes:
    """Return how a segment begins whose first leaf has this index."""
    return MAGIC + _FIRST.pack(first)


def encode(leaves: Sequence[bytes]) -> bytes:
    """Return the record that holds these leaves."""
    sizes = [len(leaf) for leaf in leaves]
    assert 0 < len(sizes) <= LEAVES_MAX
    assert 0 < min(sizes) <= max(sizes) <= LEAF_BYTES_MAX
    pack = _LENGTH.pack
    payload = b"".join([pack(size) + leaf for size, leaf in zip(sizes, leaves, strict=True)])
    return _HEAD.pack(len(payload), _checksum(payload)) + payload


def scan(data: bytes) -> Scan:
    """Read a segment. What follows `end` is a torn record or zeros, and safe to overwrite.

    Raises:
        FormatError: Not a segment, or one damaged before its last record.
    """
    if not data.startswith(MAGIC) or len(data) < HEADER_BYTES:
        raise FormatError("not a journal")
    (first,) = _FIRST.unpack_from(data, len(MAGIC))
    written = max(HEADER_BYTES, len(data.rstrip(b"\0")))  # no leaf ends with a zero
    leaves: list[bytes] = []
    offset = HEADER_BYTES
    while offset < written:
        payload = _payload_at(data, offset)
        if payload is None:
            _check_torn(data[:written], offset)
            break
        leaves += _split(payload)
        offset += _HEAD.size + len(payload)
    return Scan(first, leaves, offset, max(0, written - offset))


def _checksum(payload: bytes) -> int:
    # The length is covered too, so that a tail of zeros is not a run of empty records.
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4, "big")))


def _payload_at(data: bytes, offset: int) -> bytes | None:
    """Return the payload of the whole record that starts at `offset`, if there is one."""
    start = offset + _HEAD.size
    if start > len(data):
        return None
    length, checksum = _HEAD.unpack_from(data, offset)
    if not 0 < length <= min(PAYLOAD_BYTES_MAX, len(data) - start):
        return None
    payload = data[start : start + length]
    return payload if _checksum(payload) == checksum else None


def _check_torn(data: bytes, offset: int) -> None:
    """Let pass what a crash can leave at the end of what was written."""
    if len(data) - offset > _HEAD.size + PAYLOAD_BYTES_MAX:
        raise FormatError(f"journal damaged at byte {offset}: too much follows")
    for head in _HEAD_START.finditer(data, offset + 1):
        if _payload_at(data, head.start()) is not None:
            raise FormatError(
                f"journal damaged at byte {offset}: a whole record follows at {head.start()}"
            )


def _split(payload: bytes) -> list[bytes]:
    leaves: list[bytes] = []
    offset = 0
    while offset < len(payload):
        start = offset + _LENGTH.size
        if start > len(payload):
            raise FormatError("record ends inside a length")
        (length,) = _LENGTH.unpack_from(payload, offset)
        offset = start + length
        if length == 0 or offset > len(payload):
            raise FormatError("record holds a leaf of impossible length")
        leaves.append(payload[start:offset])
    return leaves

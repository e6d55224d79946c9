"""Content keys, sealed to their readers, beside the log and not in it.

A slot has a fixed size, so that one key can be destroyed in place: `u64 index + 1 ‖ u32 CRC-32
of what follows ‖ u16 length ‖ sealed key ‖ zeros`, big-endian; a slot of zeros is free. Slots
are in the order of the log: they are found by bisection.

A slot is written before the record of its leaf, and durable within a second of it: the content
that it opens is written behind too (decision 0040). A process that is killed loses no key; a
power cut loses those of its last second, and may leave holes, which the next start closes. It
also frees the slots of leaves that are not in the journal.
"""

import struct
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

from appliance.audit import erased_marks, segments
from appliance.audit.frame import SEALED_BYTES_MAX
from appliance.errors import FormatError, VerificationError

MAGIC = b"casemate-sealed/v1\n"
_INDEX = struct.Struct(">Q")
_BODY = struct.Struct(f">H{SEALED_BYTES_MAX}s")
_CRC = struct.Struct(">I")
SLOT_BYTES = 272
_PAD = bytes(SLOT_BYTES - _INDEX.size - _CRC.size - _BODY.size)
_NOTHING = bytes(SLOT_BYTES - _INDEX.size)  # after the index of a key that was destroyed
_HEADER = MAGIC.ljust(SLOT_BYTES, b"\0")


def encode(index: int, sealed: bytes) -> bytes:
    """Return the slot of a key."""
    assert 0 < len(sealed) <= SEALED_BYTES_MAX
    body = _BODY.pack(len(sealed), sealed)
    return _INDEX.pack(index + 1) + _CRC.pack(zlib.crc32(body)) + body + _PAD


def decode(slot: bytes) -> bytes:
    """Return the key in a slot; empty when it was destroyed.

    Raises:
        FormatError: Not a slot.
    """
    if len(slot) != SLOT_BYTES:
        raise FormatError("a slot is not whole")
    body = slot[_INDEX.size + _CRC.size :][: _BODY.size]
    length, sealed = _BODY.unpack(body)
    if not length and not any(body):
        return b""
    if zlib.crc32(body) != _CRC.unpack_from(slot, _INDEX.size)[0] or length > SEALED_BYTES_MAX:
        raise FormatError("a slot is damaged")
    return bytes(sealed[:length])


class _Indexes(Sequence[int]):
    """The indexes in the slots of a segment, read one by one; free slots come last."""

    def __init__(self, files: segments.Segments, first: int) -> None:
        self._files, self._first = files, first
        self._slots = files.bytes_of(first) // SLOT_BYTES - 1

    def __len__(self) -> int:
        return self._slots

    def __getitem__(self, slot: int) -> int:  # type: ignore[override]
        found = self._files.read_at(self._first, _INDEX.size, (slot + 1) * SLOT_BYTES)
        return (_INDEX.unpack(found)[0] or 1 << 64) - 1


def _ascending(slots: Sequence[bytes], size: int) -> list[bytes]:
    """Return the slots in use, without what a power cut left of others."""
    kept: list[bytes] = []
    last = 0
    for slot in slots:
        number = _INDEX.unpack_from(slot)[0] if len(slot) == SLOT_BYTES else 0
        if last < number <= size:
            kept.append(slot)
            last = number
    return kept


class SealedKeys:
    """The store of one log. Written by the recorder only."""

    def __init__(self, folder: Path, size: int) -> None:
        """Open the folder; `recover` comes before the first write."""
        self.files = segments.Segments(folder, size // SLOT_BYTES * SLOT_BYTES)
        self._slots: list[tuple[int, bytes]] = []  # not written yet
        self._unsynced = False

    def recover(self, size: int) -> None:
        """Free the slots of leaves that did not become durable.

        Args:
            size: Leaves in the journal.

        Raises:
            FormatError: There is no store.
            OSError: See `segments`.
        """
        firsts = self.files.firsts()
        if not firsts:
            raise FormatError("the store of content keys has no segment")
        data = self.files.read(firsts[-1])
        slots = [data[at : at + SLOT_BYTES] for at in range(SLOT_BYTES, len(data), SLOT_BYTES)]
        kept = _ascending(slots, size)
        whole = next((n for n, slot in enumerate(kept) if slot is not slots[n]), len(kept))
        self.files.resume(firsts[-1], (whole + 1) * SLOT_BYTES)
        if whole < len(kept):
            self.files.write(b"".join(kept[whole:]))
            self.files.sync()

    def add(self, index: int, sealed: bytes) -> None:
        """Take a key; indexes ascend."""
        self._slots.append((index, encode(index, sealed)))

    def write(self) -> None:
        """Write what was taken. It is durable after `sync`.

        Raises:
            OSError: See `segments`.
        """
        while self._slots:
            if not self.files.fits(SLOT_BYTES):
                self.sync()  # only the last segment may have holes
                self.files.roll(self._slots[0][0], _HEADER)
            fit = (self.files.limit - self.files.end) // SLOT_BYTES
            self.files.write(b"".join([slot for _, slot in self._slots[:fit]]))
            self._unsynced = True
            del self._slots[:fit]

    def sync(self) -> None:
        """Make durable what was written.

        Raises:
            OSError: See `segments`.
        """
        if self._unsynced:
            self.files.sync()
            self._unsynced = False

    def read(self, index: int) -> bytes:
        """Return the key that came with a leaf.

        Raises:
            VerificationError: None came, or it was destroyed.
            FormatError: The slot is damaged.
        """
        firsts = self.files.firsts()
        first = firsts[bisect_right(firsts, index) - 1]
        indexes = _Indexes(self.files, first)
        slot = bisect_left(indexes, index)
        if slot == len(indexes) or indexes[slot] != index:
            raise VerificationError(f"no content key came with record {index}")
        key = decode(self.files.read_at(first, SLOT_BYTES, (slot + 1) * SLOT_BYTES))
        if not key:
            raise VerificationError(f"the content key of record {index} was destroyed")
        return key

    def held(self, first: int, end: int) -> list[int]:
        """Return the leaves from `first` to before `end` whose keys are there."""
        self.write()
        firsts = self.files.firsts()
        found: list[int] = []
        for segment, following in zip(firsts, [*firsts[1:], end], strict=True):
            if segment < end and first < following:
                slots, _ = self._range(segment, first, end)
                found += [_INDEX.unpack_from(s)[0] - 1 for s in slots if decode(s)]
        return found

    def destroy(self, first: int, end: int) -> int:
        """Destroy the keys that came with the leaves from `first` to before `end`, durably.

        Returns:
            How many there were. The slots stay, so that `read` says what became of them.

        Raises:
            OSError: See `segments`.
        """
        self.write()
        firsts = self.files.firsts()
        count = 0
        for segment, following in zip(firsts, [*firsts[1:], end], strict=True):
            if segment < end and first < following:
                count += self._destroy(segment, first, end)
        return count

    def _destroy(self, segment: int, first: int, end: int) -> int:
        slots, at = self._range(segment, first, end)
        emptied = [slot[: _INDEX.size] + _NOTHING for slot in slots]
        if emptied != slots:
            self.files.overwrite(segment, b"".join(emptied), at)
        return sum(slot != empty for slot, empty in zip(slots, emptied, strict=True))

    def _range(self, segment: int, first: int, end: int) -> tuple[list[bytes], int]:
        """Return the slots of a segment in a range of leaves, and where they begin."""
        indexes = _Indexes(self.files, segment)
        begin, stop = bisect_left(indexes, first), bisect_left(indexes, end)
        at = (begin + 1) * SLOT_BYTES
        data = self.files.read_at(segment, (stop - begin) * SLOT_BYTES, at)
        return [data[n : n + SLOT_BYTES] for n in range(0, len(data), SLOT_BYTES)], at


def create(folder: Path, size: int) -> None:
    """Make an empty store.

    Raises:
        OSError: It exists, or cannot be made.
    """
    segments.create(folder, size // SLOT_BYTES * SLOT_BYTES, _HEADER)
    erased_marks.write(folder, erased_marks.Marks())

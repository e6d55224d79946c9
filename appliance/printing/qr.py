"""QR code of bytes, as ISO/IEC 18004 has it: byte mode, correction level M, any of 40 sizes.

Level M gives back what 15 % of the sheet lost. The same bytes give the same code: of the eight
masks the one with the fewest faults is taken, the first of equals. Pure.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from appliance.errors import FormatError

QUIET = 4  # modules of white around the code that every reader expects
_CORRECTION = (  # codewords of correction of a block, by version; ISO/IEC 18004, table 9
    10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26,
    26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
)  # fmt: skip
_BLOCKS = (  # by version
    1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16,
    17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49,
)  # fmt: skip
_WIDE, _MARKED = 10, 7  # versions from which the length has two bytes, and the size is told
_PADDING = 0xEC, 0x11
_FIELD = 0x11D  # x^8 + x^4 + x^3 + x^2 + 1
_MASKS: tuple[Callable[[int, int], bool], ...] = (  # row, column
    lambda y, x: (y + x) % 2 == 0,
    lambda y, _: y % 2 == 0,
    lambda _, x: x % 3 == 0,
    lambda y, x: (y + x) % 3 == 0,
    lambda y, x: (y // 2 + x // 3) % 2 == 0,
    lambda y, x: y * x % 2 + y * x % 3 == 0,
    lambda y, x: (y * x % 2 + y * x % 3) % 2 == 0,
    lambda y, x: ((y + x) % 2 + y * x % 3) % 2 == 0,
)
_RUN = re.compile("0{5,}|1{5,}")
_LIKE_FINDER = re.compile("(?=10111010000|00001011101)")


def code(data: bytes) -> tuple[str, ...]:
    """Return the rows of the code, `1` for a dark module, without the quiet zone.

    Raises:
        FormatError: More than the largest code holds: 2 331 bytes.
    """
    version = _version(len(data))
    bits = _bits(_interleaved(_codewords(data, version), version))
    drawn = _Drawing(version)
    drawn.fill(bits)
    made = [drawn.masked(mask) for mask in range(len(_MASKS))]
    return min(made, key=_faults)


def path(rows: tuple[str, ...]) -> str:
    """Return the dark modules as the path of an SVG, one unit a module, the quiet zone left."""
    return "".join(
        f"M{run.start() + QUIET} {y + QUIET}h{len(run[0])}v1h-{len(run[0])}z"
        for y, row in enumerate(rows)
        for run in re.finditer("1+", row)
    )


def _total(version: int) -> int:
    """Return the codewords of a code, of data and of correction."""
    modules = (16 * version + 128) * version + 64
    if version > 1:
        marks = version // 7 + 2
        modules -= (25 * marks - 10) * marks - 55
    return (modules - (36 if version >= _MARKED else 0)) // 8


def _room(version: int) -> int:
    """Return the codewords of data."""
    return _total(version) - _CORRECTION[version - 1] * _BLOCKS[version - 1]


def _version(length: int) -> int:
    for version in range(1, len(_BLOCKS) + 1):
        if _room(version) * 8 >= 4 + (16 if version >= _WIDE else 8) + 8 * length:
            return version
    raise FormatError(f"{length} bytes are more than a QR code holds")


def _codewords(data: bytes, version: int) -> list[int]:
    width = 16 if version >= _WIDE else 8
    bits = "0100" + format(len(data), f"0{width}b") + "".join(f"{byte:08b}" for byte in data)
    room = _room(version)
    bits += "0" * min(4, room * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    words = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    return words + [_PADDING[n % 2] for n in range(room - len(words))]


def _interleaved(words: list[int], version: int) -> list[int]:
    """Return the codewords of all blocks in the order in which they are drawn."""
    blocks, correction = _BLOCKS[version - 1], _CORRECTION[version - 1]
    short, longer = divmod(len(words), blocks)
    generator = _generator(correction)
    parts: list[list[int]] = []
    rests: list[list[int]] = []
    at = 0
    for number in range(blocks):
        length = short + (number >= blocks - longer)
        parts.append(words[at : at + length])
        rests.append(_rest(parts[-1], generator))
        at += length
    return [*_across(parts), *_across(rests)]


def _across(rows: list[list[int]]) -> Iterator[int]:
    for column in range(max(map(len, rows))):
        yield from (row[column] for row in rows if column < len(row))


def _times(one: int, other: int) -> int:
    """Multiply in the field of 256."""
    product = 0
    while other:
        product ^= one * (other & 1)
        one = one << 1 ^ (one >> 7) * _FIELD
        other >>= 1
    return product


def _generator(degree: int) -> list[int]:
    """Return the coefficients below the first one, which is 1."""
    found, root = [1], 1
    for _ in range(degree):
        shifted = [_times(coefficient, root) for coefficient in found]
        found = [a ^ b for a, b in zip([*found, 0], [0, *shifted], strict=True)]
        root = _times(root, 2)
    return found[1:]


def _rest(words: list[int], generator: list[int]) -> list[int]:
    """Return the codewords of correction: what division by the generator leaves."""
    rest = [0] * len(generator)
    for word in words:
        factor = word ^ rest[0]
        rest = [a ^ _times(b, factor) for a, b in zip([*rest[1:], 0], generator, strict=True)]
    return rest


def _bits(words: list[int]) -> str:
    return "".join(f"{word:08b}" for word in words)


def _checked(value: int, divisor: int) -> int:
    """Return the value with the bits of a BCH code behind it."""
    degree = divisor.bit_length() - 1
    rest = value << degree
    while rest.bit_length() > degree:
        rest ^= divisor << rest.bit_length() - degree - 1
    return value << degree | rest


class _Drawing:
    """The modules of one version: fixed patterns, and what is left for data."""

    def __init__(self, version: int) -> None:
        self._version, self._size = version, 17 + 4 * version
        self._fixed: dict[tuple[int, int], bool] = {}  # (row, column)
        self._data: dict[tuple[int, int], bool] = {}
        last = self._size - 1
        for at in range(self._size):  # below what follows
            self._fixed[6, at] = self._fixed[at, 6] = at % 2 == 0
        for y, x in ((3, 3), (3, last - 3), (last - 3, 3)):
            self._square(y, x, 4)
        for y, x in self._centres():
            self._square(y, x, 2)
        self._format(0)  # keeps its place; each mask has its own
        if version >= _MARKED:
            self._mark(_checked(version, 0x1F25))

    def _square(self, y: int, x: int, reach: int) -> None:
        """Draw rings: dark, light and dark again, from the centre outwards."""
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                place, ring = (y + dy, x + dx), max(abs(dy), abs(dx))
                if min(place) >= 0 and max(place) < self._size:
                    self._fixed[place] = ring != 1 if reach == 2 else ring not in (2, 4)  # noqa: PLR2004

    def _centres(self) -> list[tuple[int, int]]:
        """Return where the small squares are; ISO/IEC 18004, annex E."""
        if self._version == 1:
            return []
        count, last = self._version // 7 + 2, self._size - 7
        step = 26 if self._version == 32 else -(-(last - 6) // (2 * count - 2)) * 2  # noqa: PLR2004
        lines = [6, *(last - n * step for n in range(count - 2, -1, -1))]
        taken = {(6, 6), (6, last), (last, 6)}
        return [(y, x) for y in lines for x in lines if (y, x) not in taken]

    def _format(self, mask: int) -> None:
        bits, size = _checked(mask, 0x537) ^ 0x5412, self._size  # 00 before it: level M
        beside = [*range(6), 7, 8, *range(size - 7, size)]
        below = [*range(size - 1, size - 9, -1), 7, *range(5, -1, -1)]
        for n in range(15):
            self._fixed[beside[n], 8] = self._fixed[8, below[n]] = bool(bits >> n & 1)
        self._fixed[size - 8, 8] = True

    def _mark(self, bits: int) -> None:
        for n in range(18):
            place = n // 3, self._size - 11 + n % 3
            dark = bool(bits >> n & 1)
            self._fixed[place] = self._fixed[place[1], place[0]] = dark

    def fill(self, bits: str) -> None:
        """Draw the data, in pairs of columns from the right, upwards and downwards in turn."""
        rest = iter(bits)
        columns = [*range(self._size - 1, 6, -2), 5, 3, 1]
        for number, right in enumerate(columns):
            rows = range(self._size)
            for y in rows if number % 2 else reversed(rows):
                for x in (right, right - 1):
                    if (y, x) not in self._fixed:
                        self._data[y, x] = next(rest, "0") == "1"

    def masked(self, mask: int) -> tuple[str, ...]:
        """Return the rows under a mask."""
        self._format(mask)
        turned = _MASKS[mask]
        drawn = {place: dark ^ turned(*place) for place, dark in self._data.items()}
        drawn |= self._fixed
        side = range(self._size)
        return tuple("".join("01"[drawn[y, x]] for x in side) for y in side)


def _faults(rows: tuple[str, ...]) -> int:
    """Return how hard a code is to read; ISO/IEC 18004, 7.8.3."""
    columns = tuple(map("".join, zip(*rows, strict=True)))
    faults = 0
    for line in (*rows, *columns):
        faults += sum(len(run) - 2 for run in _RUN.findall(line))
        faults += 40 * len(_LIKE_FINDER.findall(line))
    for above, below in pairwise(rows):
        for at in range(len(rows) - 1):
            faults += 3 * (above[at : at + 2] + below[at : at + 2] in ("0000", "1111"))
    dark = sum(row.count("1") for row in rows)
    return faults + 10 * (abs(20 * dark - 10 * len(rows) ** 2) // len(rows) ** 2)

"""Codes read back by a reader that is not ours, whole and damaged."""

import random

import numpy as np
import pytest
import zxingcpp

from appliance.errors import FormatError
from appliance.printing.qr import (
    QUIET,
    _bits,
    _codewords,
    _Drawing,
    _interleaved,
    _version,
    code,
    path,
)

SCALE = 3  # pixels of a module


def picture(rows: tuple[str, ...]) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Return what a camera would see: 255 is white."""
    dark = np.array([[bit == "1" for bit in row] for row in rows])
    shown = np.where(dark, 0, 255).astype(np.uint8)
    return np.pad(shown, QUIET, constant_values=255).repeat(SCALE, 0).repeat(SCALE, 1)


def read(image: object) -> list[bytes]:
    return [found.bytes for found in zxingcpp.read_barcodes(image)]


# The last length of a size and the first of the next; where sizes get their marks and a second
# byte of length; the largest.
LENGTHS = [1, 14, 15, 26, 84, 106, 107, 122, 180, 181, 213, 214, 450, 504, 1_370, 1_871, 2_331]


@pytest.mark.parametrize("length", LENGTHS)
def test_bytes_of_any_length_are_read_back_by_another_reader(length: int) -> None:
    chance = random.Random(length)  # noqa: S311 - a text
    data = bytes(chance.choices(range(32, 127), k=length))
    assert read(picture(code(data))) == [data]


@pytest.mark.parametrize("mask", range(8))
def test_each_mask_is_one_that_readers_know(mask: int) -> None:
    data = b"casemate.site.internal/log\n1284310\n"
    drawn = _Drawing(_version(len(data)))
    drawn.fill(_bits(_interleaved(_codewords(data, 3), 3)))
    assert read(picture(drawn.masked(mask))) == [data]


def test_letters_that_are_not_ascii_are_read_back_to_the_byte() -> None:
    data = "— rssi.site.internal/w1 é\n\n".encode() * 9
    assert read(picture(code(data))) == [data]


def test_a_tenth_of_the_code_may_be_lost() -> None:
    data = b"casemate.site.internal/log\n1284310\n" * 12
    image = picture(code(data))
    side = image.shape[0]
    torn = side * 3 // 10
    image[side - torn : side, side - torn : side] = 255  # a corner without a finder
    assert read(image) == [data]


def test_the_same_bytes_give_the_same_code_and_others_another() -> None:
    assert code(b"note") == code(b"note")
    assert code(b"note") != code(b"nota")


def test_the_code_is_a_square_of_a_size_that_readers_know() -> None:
    for length in LENGTHS:
        rows = code(b"a" * length)
        assert {len(row) for row in rows} == {len(rows)}
        assert (len(rows) - 17) % 4 == 0
        assert 21 <= len(rows) <= 177


def test_more_than_the_largest_code_holds_is_refused() -> None:
    with pytest.raises(FormatError, match="2332 bytes"):
        code(b"a" * 2_332)


def test_the_path_draws_the_dark_modules_and_no_other() -> None:
    drawn = path(("101", "000", "011"))
    assert drawn == "M4 4h1v1h-1zM6 4h1v1h-1zM5 6h2v1h-2z"

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.console.upload import FIELD_BYTES, FILES, Parts
from appliance.errors import FormatError
from appliance.identity.session import ForgeryError

TYPE = "multipart/form-data; boundary=limite"


def body(*parts: tuple[str, bytes]) -> bytes:
    out = b""
    for name, data in parts:
        file = f'; filename="{name}"' if name else ""
        field = "fichiers" if name else "csrf"
        head = f'--limite\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'
        out += head.encode() + data + b"\r\n"
    return out + b"--limite--\r\n"


async def pieces(data: bytes, step: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


def read(
    data: bytes, step: int = 64, *, skip: bool = False
) -> tuple[list[str], dict[str, bytes]]:
    """Return what was checked, and the files."""
    checked: list[str] = []

    async def work() -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        async for name, content in Parts(TYPE, pieces(data, step)).files(checked.append):
            found[name] = b"" if skip else b"".join([part async for part in content])
        return found

    return checked, asyncio.run(work())


@given(st.binary(max_size=300), st.integers(1, 99))
def test_files_are_read_however_the_bytes_are_cut(content: bytes, step: int) -> None:
    data = body(("", b"jeton"), ("2026/é.pdf", content), ("b.txt", b"b"))
    checked, found = read(data, step)
    assert checked == ["jeton"]
    assert found == {"2026/é.pdf": content, "b.txt": b"b"}


def test_a_file_that_is_not_read_is_skipped() -> None:
    assert read(body(("", b"j"), ("a", b"x" * 999), ("b", b"y")), skip=True)[1] == {
        "a": b"",
        "b": b"",
    }


def test_the_token_is_checked_before_any_file_is_read() -> None:
    assert read(body(("a", b"x"), ("", b"j")))[0] == [""]

    def refuse(_: str) -> None:
        raise ForgeryError("no")

    async def work() -> None:
        async for _ in Parts(TYPE, pieces(body(("a", b"x")), 10)).files(refuse):
            raise AssertionError("a file was given")

    with pytest.raises(ForgeryError):
        asyncio.run(work())


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", "text/html; boundary=x"], ids=str
)
def test_what_is_no_form_is_refused(kind: str) -> None:
    with pytest.raises(FormatError):
        Parts(kind, pieces(b"", 1))


@pytest.mark.parametrize(
    "data",
    [
        b"--autre\r\n\r\n",
        body(("", b"x" * (FIELD_BYTES + 1))),
        body(("", b"j"), *[(f"{n}", b"") for n in range(FILES + 1)]),
    ],
    ids=["another boundary", "a long field", "too many files"],
)
def test_a_body_out_of_form_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read(data, 1 << 20)

"""Files of a form as they arrive: nothing waits on a disk.

The token of the session comes in a header, or as the first field of the form: nothing of a file
is read before it was checked. https://www.rfc-editor.org/rfc/rfc7578
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from appliance.errors import FormatError

FIELD_BYTES, FILES = 4_096, 2_000
Check = Callable[[str], None]


@dataclass(slots=True)
class _Begins:
    """A part begins: `file` is empty for a field."""

    name: str
    file: str


@dataclass(slots=True)
class _Ends:
    """A part ends."""


_Piece = _Begins | _Ends | bytes


class Parts:
    """The parts of a multipart body, in order."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        """Prepare.

        Raises:
            FormatError: Not a multipart form.
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise FormatError("a multipart form is expected")
        self._body, self._pieces = body, deque[_Piece]()
        self._header, self._value, self._found = b"", b"", dict[bytes, bytes]()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._found.clear,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": lambda: self._pieces.append(_Ends()),
            },
        )

    async def files(self, check: Check) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Yield the name and the bytes of each file; `check` is given the first field.

        A file that is not read to its end is skipped.

        Raises:
            FormatError: The body is not in the form.
            ApplianceError: Whatever `check` raises.
        """
        checked, count = False, 0
        while (piece := await self._next()) is not None:
            if not isinstance(piece, _Begins):
                continue
            if not piece.file and not checked:
                check(await self._text())
                checked = True
            elif piece.file:
                if not checked:
                    check("")
                    checked = True
                count += 1
                if count > FILES:
                    raise FormatError(f"more than {FILES} files")
                rest = self._data()
                yield piece.file, rest
                async for _ in rest:
                    pass

    async def _text(self) -> str:
        text = b""
        async for data in self._data():
            text += data
            if len(text) > FIELD_BYTES:
                raise FormatError("a field is too long")
        return text.decode("utf-8", "replace")

    async def _data(self) -> AsyncIterator[bytes]:
        while (piece := await self._next()) is not None and not isinstance(piece, _Ends):
            if isinstance(piece, bytes):
                yield piece

    async def _next(self) -> _Piece | None:
        while not self._pieces:
            data = await anext(self._body, None)
            if data is None:
                return None
            try:
                self._parser.write(data)
            except FormParserError as exc:
                raise FormatError("the form is not well formed") from exc
        return self._pieces.popleft()

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._found[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._found.get(b"content-disposition", b""))
        name, file = (options.get(key, b"").decode("utf-8", "replace") for key in _KEYS)
        self._pieces.append(_Begins(name, file))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])


_KEYS = (b"name", b"filename")

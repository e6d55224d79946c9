"""The console's side of the reader: a connection for each question."""

import asyncio
from pathlib import Path

import msgspec

from appliance.audit.client import RefusedError
from appliance.audit.frame import FRAME_BYTES_MAX, Unpacker, pack
from appliance.audit.reading.frame import Answer, Given, Note, Open, Opened, Pending, Question
from appliance.errors import ApplianceError, FormatError

PATIENCE = 20.0  # seconds: approvals are proved under a fresh checkpoint
_PIECE = 1 << 16


class ReaderError(ApplianceError):
    """The reader does not answer: nothing was opened, as far as is known."""

    code = "CM-JRN-53"


class ReaderClient:
    """Asks the reader."""

    def __init__(self, path: Path) -> None:
        """Take its socket."""
        self._path = str(path)

    async def note(self, approval: int) -> None:
        """Point to an approval that was just recorded.

        Raises:
            RefusedError: It is none, or not fresh.
            ReaderError: The reader is away.
        """
        await self._ask(Note(approval))

    async def pending(self) -> list[Given]:
        """Return the approvals that wait for a second one, or for the reading.

        Raises:
            ReaderError: The reader is away.
        """
        return (await self._ask(Pending())).pending

    async def open(self, record: int) -> Opened:
        """Return the texts of a record, once.

        Raises:
            RefusedError: An approval is missing, or the content does not open any more.
            ReaderError: The reader is away.
        """
        opened = (await self._ask(Open(record))).opened
        if opened is None:
            raise ReaderError("the reader gave no content")
        return opened

    async def _ask(self, question: Question) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._exchange(question)
        except (OSError, TimeoutError, FormatError, msgspec.DecodeError) as exc:
            raise ReaderError("the reader does not answer") from exc
        if answer.error:
            raise RefusedError(answer.error, answer.detail)
        return answer

    async def _exchange(self, question: Question) -> Answer:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(pack(msgspec.json.encode(question)))
            unpacker = Unpacker(FRAME_BYTES_MAX)
            while data := await reader.read(_PIECE):
                for body in unpacker.feed(data):
                    return msgspec.json.decode(body, type=Answer)
        finally:
            writer.close()
        raise FormatError("the reader closed the connection")

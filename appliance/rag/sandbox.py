"""Runs the parser program on one document, and gives up on it in time.

The program gets the document on its standard input, an empty environment and no other
descriptor. On a site systemd starts it, under a user of its own, for each connection to a
socket. Whatever it does, the worker gets an answer: a document, a reason, or `KilledError`
when it died without one, which the job tries again.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.errors import FormatError
from appliance.rag.isolation import CPU_SECONDS
from appliance.rag.parsed import Answer, Reason, decode

SECONDS = 120  # wall clock; run time is bounded by the program itself
OUTPUT_BYTES_MAX = 128 * 1024 * 1024
_ROOT = Path(__file__).parents[2]
_MAIN = f"""\
import sys; sys.path.insert(0, {str(_ROOT)!r})
from appliance.rag import parse; parse.main()
"""
# `-I`: no environment, no folder of the user, no current folder on the path.
PROGRAM = (
    sys.executable,
    "-I",
    "-c",
    _MAIN,
)


class KilledError(Exception):
    """The parser died without an answer: killed, out of memory, or broken."""


async def parse(
    data: bytes, *, program: Sequence[str] = PROGRAM, seconds: float = SECONDS
) -> Answer:
    """Return what the parser says of a document.

    Raises:
        KilledError: It died before it answered.
    """
    process = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            assert process.stdout is not None
            assert process.stdin is not None
            line = await _talk(process.stdout, process.stdin, data)
            status = await process.wait() if line is not None else 0
    except TimeoutError:
        return Answer([], reason=Reason.TOO_LONG)
    finally:
        await _end(process)
    if line is None:
        return Answer([], reason=Reason.TOO_COMPLEX)
    if status == -signal.SIGXCPU:
        return Answer([], reason=Reason.TOO_LONG)
    try:
        return decode(line)
    except FormatError as exc:
        raise KilledError(f"the parser ended with {status}") from exc


async def parse_apart(data: bytes, socket: Path, *, seconds: float = SECONDS) -> Answer:
    """Return what a parser behind a socket says of a document: one connection, one program.

    Its end is not told apart here: without an answer, it died, or used up its run time.

    Raises:
        KilledError: It is away, or died before it answered.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(socket, limit=1 << 20)
            try:
                line = await _talk(reader, writer, data)
            finally:
                writer.close()
    except TimeoutError:
        return Answer([], reason=Reason.TOO_LONG)
    except OSError as exc:
        raise KilledError(f"the parser is away: {exc}") from exc
    if line is None:
        return Answer([], reason=Reason.TOO_COMPLEX)
    if not line and loop.time() - began >= CPU_SECONDS:
        return Answer([], reason=Reason.TOO_LONG)
    try:
        return decode(line)
    except FormatError as exc:
        raise KilledError("the parser ended without an answer") from exc


async def _talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes
) -> bytes | None:
    """Write the document, read the line; None when there is too much of it."""
    writing = asyncio.create_task(_write(writer, data))
    parts: list[bytes] = []
    size = 0
    try:
        while part := await reader.read(1 << 20):
            parts.append(part)
            size += len(part)
            if size > OUTPUT_BYTES_MAX:
                return None
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
    return b"".join(parts)


async def _write(stdin: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # it may answer before it has read everything
        stdin.write(data)
        await stdin.drain()
        stdin.write_eof()


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    while await process.stdout.read(1 << 20):
        pass  # asyncio sees the end of a process once its pipes are empty
    await process.wait()

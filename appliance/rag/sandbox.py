"""Runs the parser program on one document, and gives up on it in time.

The program gets the document on its standard input, an empty environment and no other
descriptor. Whatever it does, the worker gets an answer: a document, a reason, or `KilledError`
when it died without one, which the job tries again.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.errors import FormatError
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
            line = await _talk(process, data)
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


async def _talk(process: asyncio.subprocess.Process, data: bytes) -> bytes | None:
    """Write the document, read the line; None when there is too much of it."""
    assert process.stdin is not None
    assert process.stdout is not None
    writing = asyncio.create_task(_write(process.stdin, data))
    parts: list[bytes] = []
    size = 0
    try:
        while part := await process.stdout.read(1 << 20):
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
        stdin.close()
        await stdin.wait_closed()


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    while await process.stdout.read(1 << 20):
        pass  # asyncio sees the end of a process once its pipes are empty
    await process.wait()

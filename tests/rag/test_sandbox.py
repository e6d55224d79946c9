import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.rag import sandbox
from appliance.rag.parsed import Answer, Reason, encode
from appliance.rag.sandbox import KilledError
from tests.rag import samples

ANSWER = encode(Answer([], reason=Reason.EMPTY))


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", text)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def run(text: str, data: bytes = b"x", seconds: float = 30) -> Answer:
    return asyncio.run(sandbox.parse(data, program=program(text), seconds=seconds))


def test_the_program_gets_the_document_and_nothing_else() -> None:
    text = f"""
import os, sys
data = sys.stdin.buffer.read()
descriptors = [n for n in range(3, 200) if os.path.exists(f"/proc/self/fd/{{n}}")]
listed = len(descriptors) <= 1  # the folder that is being listed
bare = set(os.environ) <= {{"LC_CTYPE"}}  # Python's own
ok = data == b"document" and bare and os.getcwd() == "/" and listed
ok = ok and os.getsid(0) == os.getpid()
sys.stdout.buffer.write({ANSWER!r} if ok else repr((data, os.environ, descriptors)).encode())
"""
    assert run(text, b"document").reason is Reason.EMPTY


def test_a_program_that_hangs_is_given_up() -> None:
    answer = run("import time; time.sleep(600)", seconds=0.5)
    assert answer.reason is Reason.TOO_LONG


def test_a_program_that_never_reads_is_no_obstacle() -> None:
    answer = run(f"import os; os.write(1, {ANSWER!r})", b"x" * 5_000_000)
    assert answer.reason is Reason.EMPTY


def test_a_program_that_writes_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "OUTPUT_BYTES_MAX", 1 << 20)
    answer = run("import os\nwhile True: os.write(1, bytes(65536))")
    assert answer.reason is Reason.TOO_COMPLEX


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="says nothing"),
        pytest.param(
            "import os; os.write(1, b'{'); os.kill(os.getpid(), 9)", id="killed in the middle"
        ),
        pytest.param("import os; os.abort()", id="crashes"),
        pytest.param("raise SystemExit(3)", id="fails"),
        pytest.param("print('no answer')", id="says something else"),
    ],
)
def test_a_program_without_an_answer_is_tried_again_by_the_job(text: str) -> None:
    with pytest.raises(KilledError):
        run(text)


def test_run_time_has_an_end_too() -> None:
    text = "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"
    assert run(text).reason is Reason.TOO_LONG


def test_the_parser_dies_with_the_worker(tmp_path: Path) -> None:
    """A worker that is killed leaves no parser behind."""
    root = Path(sandbox.__file__).parents[2]
    note = tmp_path / "pid"
    inner = f"""
import sys; sys.path.insert(0, {str(root)!r})
import os, time
from appliance.rag import isolation
isolation.close_network()
open({str(note)!r}, "w").write(str(os.getpid()))
time.sleep(600)
"""
    outer = f"""
import sys; sys.path.insert(0, {str(root)!r})
import asyncio
from appliance.rag import sandbox
asyncio.run(sandbox.parse(b"x", program=(sys.executable, "-I", "-c", {inner!r})))
"""

    async def kill_the_worker() -> int:
        worker = await asyncio.create_subprocess_exec(*program(outer))
        await asyncio.to_thread(until, lambda: note.exists() and note.read_text() != "")
        worker.kill()
        await worker.wait()
        return int(note.read_text())

    pid = asyncio.run(kill_the_worker())
    until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_cancelled_parse_leaves_no_process() -> None:
    async def run_and_cancel() -> None:
        before = _children()
        task = asyncio.create_task(
            sandbox.parse(samples.text(), program=program("import time; time.sleep(600)"))
        )
        await asyncio.to_thread(until, lambda: _children() != before)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert _children() == before

    asyncio.run(run_and_cancel())


def _children() -> int:
    pid = os.getpid()
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def apart(tmp_path: Path, text: str, data: bytes = b"x", seconds: float = 30) -> Answer:
    """Ask a program that a server starts for each connection, as systemd does."""
    path = tmp_path / "parser"

    async def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        process = await asyncio.create_subprocess_exec(
            *program(text), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            with contextlib.suppress(ConnectionError):
                answer, _ = await process.communicate(await reader.read())
                writer.write(answer)
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def ask() -> Answer:
        async with await asyncio.start_unix_server(start, path):
            return await sandbox.parse_apart(data, path, seconds=seconds)

    return asyncio.run(ask())


def test_a_parser_apart_gets_the_document_whole_and_answers(tmp_path: Path) -> None:
    text = (
        "import sys; data = sys.stdin.buffer.read()\n"
        f"sys.stdout.buffer.write({ANSWER!r} if data == bytes(3_000_000) else b'no')"
    )
    assert apart(tmp_path, text, bytes(3_000_000)).reason is Reason.EMPTY


def test_a_parser_apart_that_hangs_is_given_up(tmp_path: Path) -> None:
    text = "import time; time.sleep(60)"
    assert apart(tmp_path, text, seconds=0.3).reason is Reason.TOO_LONG


def test_a_parser_apart_that_writes_too_much_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "OUTPUT_BYTES_MAX", 1 << 20)
    assert apart(tmp_path, "import os; os.write(1, bytes(1 << 21))\n" * 2).reason is (
        Reason.TOO_COMPLEX
    )


@pytest.mark.parametrize("text", ["", "print('no answer')", "import os; os.abort()"])
def test_a_parser_apart_without_an_answer_is_tried_again(tmp_path: Path, text: str) -> None:
    with pytest.raises(KilledError, match="without an answer"):
        apart(tmp_path, text)


def test_a_parser_apart_that_ran_until_its_end_read_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "CPU_SECONDS", 0)
    assert apart(tmp_path, "").reason is Reason.TOO_LONG


def test_a_parser_apart_that_is_away_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(KilledError, match="away"):
        asyncio.run(sandbox.parse_apart(b"x", tmp_path / "absent"))

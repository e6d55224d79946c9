"""The supervisor on real processes: starts, restarts, ends, orphans."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from appliance.site.program import Program
from appliance.site.supervisor import StartError, Supervisor, children

SLEEPER = ["sleep", "600"]
DEAF = ["sh", "-c", "trap '' TERM; touch $READY; while :; do sleep 0.1; done"]
PARENT = ["sh", "-c", "setsid sh -c 'echo $$ > $CHILD; exec sleep 600' & wait"]


async def _always() -> bool:
    return True


async def _never() -> bool:
    return False


def _there(path: Path) -> bool:
    return path.exists() and bool(path.read_text() or path.name == "ready")


def _exists(path: Path) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return _there(path)

    return probe


def _alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def _eventually(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - another process makes it hold
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _supervisor(logs: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(logs, {"PATH": os.environ["PATH"]})
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def test_a_program_is_started_again_when_it_is_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _supervisor(tmp_path) as supervisor:
            await supervisor.start(Program("sleeper", SLEEPER, _always))
            first = supervisor.pids["sleeper"]
            os.kill(first, signal.SIGKILL)
            await _eventually(lambda: supervisor.pids["sleeper"] != first)

            assert _alive(supervisor.pids["sleeper"])

    asyncio.run(scenario())


def test_what_a_killed_program_left_is_gone_when_it_starts_again(tmp_path: Path) -> None:
    scratch = tmp_path / "own" / "tmp"
    leaves = ["sh", "-c", 'ls "$OWN" | wc -l >> "$SEEN"; touch "$OWN/$$"; exec sleep 600']
    own = {"OWN": str(scratch), "SEEN": str(tmp_path / "seen")}

    async def work() -> None:
        async with _supervisor(tmp_path) as supervisor:
            program = Program("p", leaves, _always, own, scratch=str(scratch))
            await supervisor.start(program)
            await _eventually(lambda: len(list(scratch.iterdir())) == 1)
            os.kill(supervisor.pids["p"], signal.SIGKILL)
            await _eventually(lambda: (tmp_path / "seen").read_text().split() == ["0", "0"])

    asyncio.run(asyncio.wait_for(work(), 20))
    assert scratch.stat().st_mode & 0o777 == 0o700


def test_each_start_is_told_with_its_pid(tmp_path: Path) -> None:
    told: list[dict[str, int]] = []

    async def scenario() -> None:
        supervisor = Supervisor(
            tmp_path, {"PATH": os.environ["PATH"]}, lambda p: told.append({**p})
        )
        await supervisor.start(Program("sleeper", SLEEPER, _always))
        os.kill(told[-1]["sleeper"], signal.SIGKILL)
        await _eventually(lambda: len(told) > 1)
        await supervisor.stop()

    asyncio.run(scenario())
    assert told[0]["sleeper"] != told[1]["sleeper"]


def test_stop_leaves_no_process(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        async with _supervisor(tmp_path) as supervisor:
            await supervisor.start(Program("one", SLEEPER, _always))
            await supervisor.start(Program("two", SLEEPER, _always))
            return list(supervisor.pids.values())

    assert not any(_alive(pid) for pid in asyncio.run(scenario()))


def test_a_program_deaf_to_its_signal_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    program = Program("deaf", DEAF, _exists(ready), {"READY": str(ready)}, grace=0.5)

    async def scenario() -> int:
        async with _supervisor(tmp_path) as supervisor:
            await supervisor.start(program)
            return supervisor.pids["deaf"]

    assert not _alive(asyncio.run(scenario()))


def test_a_child_in_a_session_of_its_own_is_killed_with_its_parent(tmp_path: Path) -> None:
    noted = tmp_path / "child"
    program = Program("parent", PARENT, _exists(noted), {"CHILD": str(noted)})

    async def scenario() -> int:
        async with _supervisor(tmp_path) as supervisor:
            await supervisor.start(program)
            return int(noted.read_text())

    assert not _alive(asyncio.run(scenario()))


def test_an_orphan_is_killed_before_its_program_starts_again(tmp_path: Path) -> None:
    noted = tmp_path / "child"
    program = Program("parent", PARENT, _exists(noted), {"CHILD": str(noted)})

    async def scenario() -> None:
        async with _supervisor(tmp_path) as supervisor:
            await supervisor.start(program)
            orphan, parent = int(noted.read_text()), supervisor.pids["parent"]
            os.kill(parent, signal.SIGKILL)
            await _eventually(lambda: supervisor.pids["parent"] != parent)
            await asyncio.wait_for(_eventually(lambda: not _alive(orphan)), 10)

    asyncio.run(scenario())


def test_a_program_that_ends_while_starting_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = Program("broken", ["sh", "-c", "echo no such colour; exit 3"], _never)

    async def scenario() -> None:
        async with _supervisor(tmp_path) as supervisor:
            await supervisor.start(program)

    with pytest.raises(StartError, match="no such colour"):
        asyncio.run(scenario())


def test_a_program_that_stays_silent_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _supervisor(tmp_path) as supervisor:
            await supervisor.start(Program("silent", SLEEPER, _never, patience=0.3))

    with pytest.raises(StartError, match="ne répond pas"):
        asyncio.run(scenario())


def test_a_program_that_fails_is_not_taken_for_done(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _supervisor(tmp_path) as supervisor:
            await supervisor.run(Program("good", ["true"], _never))
            await supervisor.run(Program("bad", ["false"], _never))

    with pytest.raises(StartError, match="bad"):
        asyncio.run(scenario())


def test_programs_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys, pathlib\n"
        "from appliance.site.program import Program\n"
        "from appliance.site.supervisor import Supervisor\n"
        "async def ready(): return True\n"
        "async def main():\n"
        "    s = Supervisor(pathlib.Path(sys.argv[1]), {'PATH': os.environ['PATH']})\n"
        "    await s.start(Program('sleeper', ['sleep', '600'], ready))\n"
        "    await asyncio.sleep(0.5)\n"
        "    print(s.pids['sleeper'], flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert _alive(pid)
        supervisor.kill()
        supervisor.wait()
        asyncio.run(asyncio.wait_for(_eventually(lambda: not _alive(pid)), 10))


def test_children_are_found_by_their_parent() -> None:
    with subprocess.Popen(SLEEPER) as child:
        assert child.pid in children(os.getpid())
        child.kill()


def test_children_of_somebody_else_are_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with _supervisor(tmp_path) as supervisor:
            with subprocess.Popen(SLEEPER) as plain:  # noqa: ASYNC220 - starts at once
                await supervisor.start(Program("sleeper", SLEEPER, _always))
                await supervisor.stop()
                assert _alive(plain.pid)
                plain.kill()

    with subprocess.Popen(SLEEPER, start_new_session=True) as earlier:
        asyncio.run(scenario())
        assert _alive(earlier.pid)
        earlier.kill()

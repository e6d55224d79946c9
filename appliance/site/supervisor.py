"""The supervisor of the embedded stack: starts programs, watches them, leaves none behind.

One asyncio task per program polls its process: nothing here forks from a thread, since the
kernel ties `pdeathsig` to the thread that forked. The supervisor is the subreaper of what it
starts: a grandchild whose parent died becomes its own child, is seen, and is killed.
"""

import asyncio
import ctypes
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from appliance.errors import ApplianceError
from appliance.site.program import Program, command, pause_before

log = logging.getLogger(__name__)
PR_SET_CHILD_SUBREAPER = 36
TICK = 0.1  # seconds between two looks at a process
SWEEPS = 5
STEADY = 30.0  # seconds of life after which earlier failures are forgotten


class StartError(ApplianceError):
    """A program ended or stayed silent while it was being started."""

    code = "CM-NET-05"


class Supervisor:
    """Holds the running programs, by name."""

    def __init__(
        self,
        logs: Path,
        environment: Mapping[str, str],
        changed: Callable[[Mapping[str, int]], None] = lambda _: None,
    ) -> None:
        """Keep each program's output in `logs`; tell `changed` the pids after each start."""
        self.logs = logs
        self._environment = dict(environment)
        self._changed = changed
        self._running: dict[str, tuple[Program, subprocess.Popen[bytes]]] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._before = children(os.getpid())  # somebody else's, in this process
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    @property
    def pids(self) -> dict[str, int]:
        """Return the pid of each program, by name."""
        return {name: process.pid for name, (_, process) in self._running.items()}

    async def start(self, program: Program) -> None:
        """Start a program, wait until it answers, and keep it alive from then on.

        Raises:
            StartError: It ended, or did not answer in time; its last lines are in the message.
        """
        process = self._spawn(program)
        deadline = time.monotonic() + program.patience
        while not await self._answers(program):
            if process.poll() is not None:
                raise StartError(f"{program.name} s’est arrêté : {self.last_words(program)}")
            if time.monotonic() > deadline:
                raise StartError(f"{program.name} ne répond pas : {self.last_words(program)}")
            await asyncio.sleep(TICK)
        self._keepers[program.name] = asyncio.create_task(self._keep(program))

    async def run(self, program: Program) -> None:
        """Run a program that ends by itself, such as one that makes a key.

        Raises:
            StartError: It failed or lasted too long.
        """
        process = self._spawn(program)
        await _ended(process, program.patience)
        self._forget(program.name)
        if process.poll() is None:
            _signal(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            raise StartError(f"{program.name} a échoué : {self.last_words(program)}")

    def check(self) -> None:
        """Raise what made a keeper give up: a defect of ours, never of what it keeps."""
        for keeper in self._keepers.values():
            if keeper.done() and not keeper.cancelled() and (error := keeper.exception()):
                raise error

    async def stop(self) -> None:
        """Stop every program, the last started first, and kill whatever is left of them."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        for program, process in reversed(list(self._running.values())):
            await _end(program, process)
        self._running.clear()
        for _ in range(SWEEPS):  # a killed orphan leaves us its own children
            self._sweep()
            await asyncio.sleep(TICK)

    def last_words(self, program: Program) -> str:
        """Return the end of a program's log, for a message."""
        with suppress(OSError):
            text = (self.logs / f"{program.name}.log").read_bytes()[-2000:]
            return "\n" + text.decode("utf-8", "replace").strip()
        return "aucune trace"

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        for stale in program.sockets:
            Path(stale).unlink(missing_ok=True)
        if program.scratch:
            shutil.rmtree(program.scratch, ignore_errors=True)
            Path(program.scratch).mkdir(mode=0o700, parents=True)
        with (self.logs / f"{program.name}.log").open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command lines
                command(program),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment | dict(program.environment),
                cwd="/",
                start_new_session=True,  # Ctrl-C reaches the supervisor alone
            )
        self._running[program.name] = program, process
        self._changed(self.pids)
        return process

    def _forget(self, name: str) -> None:
        self._running.pop(name, None)
        self._changed(self.pids)

    async def _answers(self, program: Program) -> bool:
        try:
            return await asyncio.wait_for(program.ready(), 5)
        except (OSError, TimeoutError):
            return False

    async def _keep(self, program: Program) -> None:
        """Start a program again whenever it ends."""
        failures, started = 0, time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            process = self._running[program.name][1]
            if process.poll() is None:
                continue
            failures = 1 if time.monotonic() - started > STEADY else failures + 1
            log.warning("%s ended with %s", program.name, process.returncode)
            _signal(process.pid, signal.SIGKILL)  # what is left of its group
            self._sweep()
            await asyncio.sleep(pause_before(failures))
            self._spawn(program)
            started = time.monotonic()

    def _sweep(self) -> int:
        """Kill and reap the orphans that became our children; return how many there were.

        Each program leads a session of its own: a child in ours is a plain subprocess.
        """
        others = children(os.getpid()) - self._live() - self._before
        orphans = {pid for pid in others if _session(pid) != os.getsid(0)}
        for pid in orphans:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return len(orphans)

    def _live(self) -> set[int]:
        return {p.pid for _, p in self._running.values()}


def children(parent: int) -> set[int]:
    """Return the pids whose parent is this process."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):  # not a process, or one that has just ended
            pid = int(entry.name)
            after_name = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2]
            if int(after_name.split()[1]) == parent:
                found.add(pid)
    return found


def _session(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return None


async def _ended(process: subprocess.Popen[bytes], patience: float) -> None:
    """Wait for the end of a process, at most so many seconds."""
    for _ in range(round(patience / TICK)):
        if process.poll() is not None:
            return
        await asyncio.sleep(TICK)


async def _end(program: Program, process: subprocess.Popen[bytes]) -> None:
    """Ask a program to end, then make it."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, program.stop)
    await _ended(process, program.grace)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)

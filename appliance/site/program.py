"""A program of the embedded stack: what is run, and how one knows that it answers."""

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Program:
    """One process to start, watch and stop; the supervisor owns its process group."""

    name: str  # as in `stack.json` and the logs
    argv: Sequence[str]
    ready: Probe  # true once it answers; asked again and again
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None  # system user to become, when the supervisor is root
    stop: signal.Signals = signal.SIGTERM  # asks for an orderly end; also sent if we die
    sockets: Sequence[str] = ()  # left by a process that was killed; removed before a start
    scratch: str = ""  # folder of its temporary files; made empty before a start
    patience: float = 60  # seconds to become ready
    grace: float = 10  # seconds to end before it is killed
    niceness: int = 0


def command(program: Program) -> list[str]:
    """Return the command line under which the supervisor runs a program.

    `setpriv` (util-linux, on every Debian) makes the kernel send `stop` to the program when
    the supervisor dies without saying so; a handler between fork and exec would be unsafe.
    """
    wrapper = ["setpriv", "--pdeathsig", program.stop.name.removeprefix("SIG")]
    if program.user:
        user = program.user
        wrapper += ["--reuid", user, "--regid", user, "--init-groups"]
    if program.niceness:
        wrapper = ["nice", "-n", str(program.niceness), *wrapper]
    return [*wrapper, "--", *program.argv]


def pause_before(failures: int) -> float:
    """Return the seconds to wait before a program is started again after so many ends in a row.

    At once the first time (a crash costs its users a second), then doubled up to 5 s, so that
    recovery stays well under 30 s.
    """
    return 0.0 if failures <= 1 else min(5.0, 0.25 * 2.0 ** (failures - 1))

"""A person at a terminal: runs inside the machine, under its python alone.

Reads a job from its first argument: `argv`, `says` (pairs of a regular expression that is
waited for and what is typed then; `%1` is its first group), `seconds`. Prints what the terminal
showed and how the program ended, as JSON.
"""

import json
import os
import pty
import re
import select
import sys
import time


def heard(terminal: int, child: int, deadline: float) -> str:
    """Return what the terminal shows next; "" once the program ended, or time is over."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            if select.select([terminal], [], [], left)[0]:
                return os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # nobody has it open: the program ended, or login(1) hangs it up first
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return ""
            time.sleep(0.02)
    os.kill(child, 9)
    return ""


def talk(argv: list[str], says: list[list[str]], seconds: float) -> dict[str, object]:
    """Run a program on a terminal of its own and answer it, until it ends or time is over."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(argv[0], argv)  # noqa: S606 - it becomes the program of the job
    shown, read, deadline = "", 0, time.monotonic() + seconds
    waiting = list(says)
    while more := heard(terminal, child, deadline):
        shown += more
        while waiting and (found := re.compile(waiting[0][0], re.DOTALL).search(shown, read)):
            read = found.end()
            typed = waiting.pop(0)[1].replace("%1", found[1] if found.groups() else "")
            os.write(terminal, f"{typed}\n".encode())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"shown": shown, "status": status, "unsaid": len(waiting)}


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    json.dump(talk(job["argv"], job["says"], job["seconds"]), sys.stdout)

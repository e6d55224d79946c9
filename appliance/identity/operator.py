"""Who acts at the rack: the person who logged in, also behind sudo.

The kernel keeps the user id of the login of each process (`/proc/self/loginuid`, set once by
PAM): it outlives sudo and su. Without it (a container) there is what sudo wrote; alone that
would be root's word, and root could write any name. Without both, whoever runs the process.
"""

import os
import pwd
from collections.abc import Callable, Mapping
from pathlib import Path

LOGIN = Path("/proc/self/loginuid")
UNSET = 2**32 - 1  # no login: a service, a container


def acting(
    login: str, environment: Mapping[str, str], own: int, name: Callable[[int], str]
) -> str:
    """Return the name of the person who acts.

    Args:
        login: Text of `/proc/self/loginuid`, "" where there is none.
        environment: As sudo left it.
        own: User id of the process; `SUDO_USER` is believed of root alone, who sudo makes one.
        name: Of a user id.
    """
    text = login.strip()
    if text.isdecimal() and int(text) != UNSET:
        return name(int(text))
    behind = environment.get("SUDO_USER", "")
    return behind if own == 0 and behind else name(own)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # an account of another machine, or one that was removed
        return f"uid-{user}"


def here() -> str:
    """Return the name of the person who acts in this process."""
    try:
        login = LOGIN.read_text("ascii")
    except OSError:
        login = ""
    return acting(login, os.environ, os.getuid(), _name)

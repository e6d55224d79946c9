"""Accounts of the machine: who has what it takes to log in, and the seal of the last resort.

A password goes to `chpasswd(8)` by its standard input and is kept as a hash by the system; a
second factor is a line of the file that `pam_oath` reads. Neither is in argv, environment, log.
"""

import grp
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from appliance.errors import ApplianceError
from appliance.site.credentials import write_whole
from appliance.site.rack import oath
from appliance.site.rack.uses import BREAK_GLASS, USED

GROUP = "casemate-people"
FACTORS = Path("/etc/security/casemate.oath")
SHADOW = Path("/etc/shadow")
PASSWORD_CHARS_MIN = 12
LOCKED = 5.0  # seconds that the lock of another is waited for
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that two people read differently
_GROUPS, _GROUP_CHARS = 6, 5  # 148 bits
Run = Callable[[Sequence[str], str], int]  # argv and standard input; returns the status


class RackError(ApplianceError):
    """Someone cannot be given access, or not in this way."""

    code = "CM-IDE-10"


class Standing(msgspec.Struct, frozen=True):
    """How one account stands."""

    login: str
    password: bool
    factor: bool

    @property
    def complete(self) -> bool:
        """Tell whether this person can log in at all."""
        return self.password and self.factor


class Access(msgspec.Struct, frozen=True):
    """Who can log in at the rack."""

    people: list[Standing]
    sealed: bool  # the sealed account has a password
    used: bool  # it was used since
    waiting: int  # records that the recorder does not have yet


def members(group: str = GROUP) -> list[str]:
    """Return the named people of this machine."""
    try:
        return sorted(grp.getgrnam(group).gr_mem)
    except KeyError:
        return []


def with_password(shadow: str) -> set[str]:
    """Return the accounts that a password opens, from the text of `/etc/shadow`."""
    rows = (line.split(":") for line in shadow.splitlines())
    return {row[0] for row in rows if len(row) > 1 and row[1].startswith("$")}


def standing(people: Sequence[str], shadow: str, factors: str, waiting: Path) -> Access:
    """Return who can log in. `factors` is the text of the second factors."""
    open_accounts, proven = with_password(shadow), set(oath.logins(factors))
    return Access(
        people=[Standing(one, one in open_accounts, one in proven) for one in people],
        sealed=BREAK_GLASS in open_accounts,
        used=(waiting / USED).exists(),
        waiting=len(list(waiting.glob("*.json"))),
    )


def read(path: Path) -> str:
    """Return the text of a file, "" when it is not there."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""


@contextmanager
def locked(factors: Path) -> Iterator[None]:
    """Keep `pam_oath` from writing the file: it makes `NAME.lock`, waits while there is one.

    Raises:
        RackError: Another held it for `LOCKED` seconds; a start of the machine removes it.
    """
    lock, deadline = factors.with_name(f"{factors.name}.lock"), time.monotonic() + LOCKED
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise RackError(f"{lock} : tenu par un autre / held by another") from None
            time.sleep(0.05)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def give_factor(factors: Path, login: str, kind: str, secret: bytes) -> None:
    """Write someone's second factor, instead of an older one."""
    with locked(factors):
        text = oath.with_person(read(factors), login, kind, secret)
        write_whole(factors, text.encode(), 0o600)


def take_factors(factors: Path, left: Sequence[str]) -> bool:
    """Remove the second factors of who left. Return whether there were any."""
    with locked(factors):
        old = read(factors)
        if not set(oath.logins(old)) & set(left):
            return False
        write_whole(factors, oath.without(old, left).encode(), 0o600)
        return True


def check_person(login: str, people: Sequence[str]) -> None:
    """Refuse who is not named in the site's answers.

    Raises:
        RackError: Not one of them.
    """
    if login not in people:
        known = ", ".join(people) or "—"
        raise RackError(f"{login} : non déclaré / not declared ({known})")


def check_password(login: str, password: str, again: str) -> None:
    """Refuse a password that is too weak, or typed differently the second time.

    Raises:
        RackError: It is.
    """
    if password != again:
        raise RackError("Les deux saisies diffèrent. / The two differ.")
    short = len(password) < PASSWORD_CHARS_MIN
    if short or len(set(password)) < PASSWORD_CHARS_MIN // 2 or login in password.lower():
        raise RackError(
            f"Au moins {PASSWORD_CHARS_MIN} caractères variés, sans l’identifiant. / "
            f"At least {PASSWORD_CHARS_MIN} different characters, without the login."
        )


def run(argv: Sequence[str], typed: str) -> int:
    """Run a program of the system with this on its standard input."""
    return subprocess.run(  # noqa: S603 - a program of the system, by its whole path
        list(argv), input=typed, text=True, capture_output=True, check=False
    ).returncode


def set_password(login: str, password: str, runs: Run = run) -> None:
    """Set the password of an account.

    Raises:
        RackError: The system refuses it.
    """
    if "\n" in password or runs(["/usr/sbin/chpasswd"], f"{login}:{password}\n"):
        raise RackError("Le système refuse ce mot de passe. / The system refuses it.")


def words() -> str:
    """Return a new password for the envelope."""
    group = (
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_CHARS)) for _ in range(_GROUPS)
    )
    return "-".join(group)


def seal(waiting: Path, runs: Run = run) -> str:
    """Give the sealed account a new password, and return it: it is shown once and kept nowhere.

    Raises:
        RackError: The machine has no such account, or refuses.
    """
    password = words()
    set_password(BREAK_GLASS, password, runs)
    with suppress(FileNotFoundError):
        (waiting / USED).unlink()
    return password

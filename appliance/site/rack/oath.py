"""Second factors of the people who log in at the rack: codes and the file that PAM reads.

One line a person in the file of `pam_oath` (`users.oath(5)`, oath-toolkit): codes of the moment
(RFC 6238, 30 s, 6 digits), or codes of a list on paper (RFC 4226) where telephones are banned.
`pam_oath` adds what it has seen behind a line, so that no code serves twice. Pure.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from urllib.parse import quote

from appliance.errors import FormatError

STEP = 30  # seconds
DIGITS = 6
SECRET_BYTES = 20  # RFC 4226, 4
PAPER = 60  # codes on a list
DRIFT = 1  # steps that a clock may be away when a code is tried
MOMENT, LIST = "HOTP/T30/6", "HOTP/E/6"  # kinds of a line
_LINE = re.compile(
    r"(?P<kind>HOTP/(?:T30|E)/6)\s+(?P<login>[a-z][a-z0-9-]*)\s+-\s+(?P<secret>[0-9a-f]{40})"
    r"(?P<seen>(?:\s+\S+)*)\s*\Z"
)


def code(secret: bytes, counter: int) -> str:
    """Return the code at a counter (RFC 4226, 5.3)."""
    digest = hmac.digest(secret, counter.to_bytes(8, "big"), "sha1")
    place = digest[-1] & 15
    number = int.from_bytes(digest[place : place + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def proves(secret: bytes, typed: str, now: float) -> bool:
    """Tell whether someone holds the secret. `now` in seconds since 1970."""
    moment = int(now) // STEP
    near = [code(secret, moment + away) for away in range(-DRIFT, DRIFT + 1)]
    return any(hmac.compare_digest(typed.strip().encode(), one.encode()) for one in near)


def codes(secret: bytes) -> list[str]:
    """Return the codes of a list on paper, in the order of their use."""
    return [code(secret, counter) for counter in range(PAPER)]


def address(secret: bytes, login: str, site: str) -> str:
    """Return what a telephone or a token is given, as an `otpauth:` address."""
    issuer = quote(site, safe="")
    key = grouped(secret).replace(" ", "")
    return f"otpauth://totp/{issuer}:{quote(login)}?secret={key}&issuer={issuer}"


def grouped(secret: bytes) -> str:
    """Return the secret as a person types it: base32 in groups of four."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def logins(text: str) -> list[str]:
    """Return who has a second factor, from the text of the file.

    Raises:
        FormatError: A line is none; `pam_oath` would pass over it.
    """
    return [_read(line)["login"] for line in _lines(text)]


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _read(line: str) -> re.Match[str]:
    if (found := _LINE.match(line)) is None:
        raise FormatError("a line of the second factors is not one")
    return found


def with_person(text: str, login: str, kind: str, secret: bytes) -> str:
    """Return the text of the file with this person's line, which replaces an older one."""
    kept = without(text, [login])
    return f"{kept}{kind} {login} - {secret.hex()}\n"


def without(text: str, left: Sequence[str]) -> str:
    """Return the text of the file without some people; the others' lines stay as they are."""
    kept = [line for line in _lines(text) if _read(line)["login"] not in left]
    return "".join(f"{line}\n" for line in kept)

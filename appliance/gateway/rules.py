"""The rules: where a secret or an identifier may stand (RE2), and whether it is one (checksum).

All read folded bytes. A pattern is at most 62 bytes long and looks no further than 4 bytes past
its end, so what begins at a byte is decided by the 64 that follow it.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from appliance.gateway import checksums

Judge = Callable[[bytes, int, int], int]
"""Text, start and end of a candidate to the end of what it is, or minus where to search on."""

# What goes on after a secret longer than a pattern: the rest of a token, the lines of a key.
TOKEN_REST = re.compile(rb"[0-9A-Za-z_\-.+/=]*")
BLOCK_REST = re.compile(rb"[0-9A-Za-z+/=\-:,\\\s]*")
BLOCK_END = re.compile(rb"END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
BLOCK_END_LENGTH = 64  # more than the longest

_SEPARATORS = re.compile(rb"[ .\-/()+]+")
_MORE_OF_AMOUNT = re.compile(rb"[ .]?[0-9]{3}|,[0-9]| ?(?:\$|(?i:eur))")
_DATE = re.compile(rb"0[1-9]([ /.\-])(?:0[1-9]|1[0-2])\1(?:19|20)[0-9]{2}")
_DOMAIN = re.compile(rb"[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}")
_ABROAD = re.compile(rb"(?:\+|00)(?:33)?[ .\-/]*(?:\(0\))?[ .\-/]*0?")
_VALUE = re.compile(rb"[:=] {0,2}[\"']?(.*)", re.DOTALL)
_KINDS = [re.compile(kind) for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]", rb"[^a-zA-Z0-9]")]


def _no(start: int) -> int:
    return -start - 1


def _any(_text: bytes, _start: int, end: int) -> int:
    return end


def _exactly(valid: Callable[[str], bool]) -> Judge:
    def judge(text: bytes, start: int, end: int) -> int:
        number = _SEPARATORS.sub(b"", text[start:end]).decode().upper()
        return end if valid(number) else _no(start)

    return judge


def _first(text: bytes, start: int, end: int, size: int) -> tuple[str, int]:
    """Return the first `size` letters and digits, and where they end; none inside a word."""
    places = [i for i in range(start, end) if text[i : i + 1].isalnum()][:size]
    if len(places) < size or text[places[-1] + 1 : places[-1] + 2].isalnum():
        return "", 0
    return bytes(text[i] for i in places).decode().upper(), places[-1] + 1


def _card(text: bytes, start: int, end: int) -> int:
    for size in range(19, 12, -1):
        number, stop = _first(text, start, end, size)
        if number and checksums.is_card(number):
            return stop
    return _no(start)


def _iban(text: bytes, start: int, end: int) -> int:
    size = checksums.IBAN_LENGTHS.get(text[start : start + 2].decode().upper())
    number, stop = _first(text, start, end, size) if size else ("", 0)
    return stop if number and checksums.is_iban(number) else _no(start)


def _siren(text: bytes, start: int, end: int) -> int:
    """Refuse an amount, of which the sum of Luhn would be right one time in ten."""
    before, spaced = text[max(start - 2, 0) : start], text[start + 3 : start + 4] in b" ."
    if spaced and (before[:1].isdigit() and before[1:] in b" ."):
        return _no(start)
    if spaced and _MORE_OF_AMOUNT.match(text, end):
        return _no(start)
    return _exactly(checksums.is_siren)(text, start, end)


def _phone(text: bytes, start: int, end: int) -> int:
    return _no(start) if _DATE.match(text, start) else end


def _phone_abroad(text: bytes, start: int, end: int) -> int:
    """Take nine digits after +33, with or without (0); elsewhere what the pattern took."""
    if not text.startswith((b"+33", b"0033"), start):
        return end
    prefix = _ABROAD.match(text, start)
    stop = _first(text, prefix.end() if prefix else end, end, 9)[1]
    return stop or _no(start)


def _email(text: bytes, start: int, end: int) -> int:
    sign = text.index(b"@", start)
    found = _DOMAIN.match(text, sign + 1, end)
    return found.end() if found else -sign - 1


def _token(text: bytes, start: int, end: int) -> int:
    """Refuse words: a token has a digit."""
    return end if _KINDS[2].search(text, start, end) else _no(start)


def _password(text: bytes, start: int, end: int) -> int:
    """Refuse a value that is a word: a password mixes three kinds of characters."""
    value = _VALUE.search(text, start, end)
    kinds = sum(bool(kind.search(value[1])) for kind in _KINDS) if value else 0
    return end if kinds >= 3 else _no(start)  # noqa: PLR2004 - the docstring says it


class Pattern(NamedTuple):
    """Where a rule may match."""

    rule: str
    hint: str  # goes into the set: cheap, and matches wherever the pattern does
    pattern: str
    judge: Judge
    rest: re.Pattern[bytes] | None = None  # what of the text after it belongs to it


class Match(NamedTuple):
    """A match that is one, in bytes."""

    start: int
    end: int
    pattern: Pattern


_S, _P = r"[ .\-]{0,3}", r"[ .\-/]{0,3}"
_DIGITS = rf"[0-9](?:{_P}[0-9]){{7}}"
_IBAN_HINT = r"[A-Za-z]{2}[ .\-]?[0-9][ .\-]?[0-9](?:[ .\-]{0,3}[A-Za-z0-9]){11}"
_PREFIXES = (
    r"\b(?:(?:sk|rk)[\-_]|gh[opsur]_|github_pat_|gl(?:pat|dt|rt|ptt|cbt|soat|ft|sa)[\-_]|"
    r"xox[abeoprs]-|hf_|npm_|pypi-|dop_v1_|SG\.|ya29\.|hvs\.|cm_|AGE-SECRET-KEY-1|eyJ|"
    r"AKIA|ASIA|AIza)"
)
_URL = r"\b[A-Za-z][A-Za-z0-9+.\-]{1,10}://[^\s/?#:@\"'<>]{0,20}:[^\s/?#@\"'<>${*]"
_NAMES = (
    r"(?i)\b(?:password|passwd|pwd|mdp|mot de passe|api[_\-]?key|cle api|secret[_\-]key|"
    r"access[_\-]token)[\"']? {0,2}[:=] {0,2}[\"']?"
)
PATTERNS = (
    Pattern("secret", _PREFIXES, _PREFIXES + r"[0-9A-Za-z_\-]{16,44}", _token, TOKEN_REST),
    Pattern(
        "secret",
        r"(?i)\bb(?:earer|asic) ",
        r"(?i)\b(?:bearer|basic) {1,2}[0-9A-Za-z+/_.~=\-]{16,40}",
        _token,
        TOKEN_REST,
    ),
    Pattern("secret", r"://[^\s/]{0,20}:", _URL + r"[^\s/?#@\"'<>]{0,24}@", _any),
    Pattern("secret", r"://[^\s/]{0,20}:", _URL + r"[^\s/?#@\"'<>]{25}", _any, TOKEN_REST),
    Pattern(
        "secret",
        r"-{4,5} ?BEGIN ",
        r"-{4,5} ?BEGIN (?:[A-Z0-9]{2,10} ){0,2}PRIVATE KEY",
        _any,
        BLOCK_REST,
    ),
    Pattern(
        "secret", _NAMES, _NAMES + r"[^\s\"',;<$*{][^\s\"',;]{7,35}", _password, TOKEN_REST
    ),
    Pattern(
        "nir",
        _DIGITS,
        rf"\b[1-478](?:{_S}[0-9]){{5}}{_S}[0-9ABab](?:{_S}[0-9]){{8}}\b",
        _exactly(checksums.is_nir),
    ),
    Pattern(
        "iban",
        _IBAN_HINT,
        r"\b[A-Za-z]{2}[ .\-]?[0-9][ .\-]?[0-9](?:[ .\-]?[A-Za-z0-9]){11,27}",
        _iban,
    ),
    Pattern(
        "iban",
        _IBAN_HINT,
        rf"\b[A-Za-z]{{2}}[0-9]{{2}}(?:{_S}[A-Za-z0-9]{{4}}){{2,7}}(?:{_S}[A-Za-z0-9]{{1,4}})?",
        _iban,
    ),
    Pattern("card", _DIGITS, r"\b[2-6](?:[ .\-]{0,2}[0-9]){12,18}", _card),
    Pattern(
        "siret",
        _DIGITS,
        rf"\b[1-9][0-9]{{2}}{_S}[0-9]{{3}}{_S}[0-9]{{3}}{_S}[0-9]{{5}}\b",
        _exactly(checksums.is_siret),
    ),
    Pattern("siren", _DIGITS, rf"\b[1-9][0-9]{{2}}{_S}[0-9]{{3}}{_S}[0-9]{{3}}\b", _siren),
    Pattern("phone", _DIGITS, rf"\b0{_P}[1-9](?:{_P}[0-9]){{8}}\b", _phone),
    Pattern(
        "phone",
        _DIGITS,
        rf"(?:\+|\b00)[1-9][0-9]{{0,2}}(?:{_P}\(0\))?(?:{_P}[0-9]){{6,12}}\b",
        _phone_abroad,
    ),
    Pattern("email", r"@[A-Za-z0-9]", r"[A-Za-z0-9_.+%\-]{1,30}@[A-Za-z0-9.\-]{3,32}", _email),
)

# The longest end of a text in which a match may have begun.
BEGUN = (
    r"(?:\S+"  # a token, an address
    r"|[+0-9][0-9ABab .\-/()]*(?:,| ?[eE][uU]?)?"  # a number
    r"|\b[A-Za-z]{2}[ .\-]?(?:[0-9][0-9A-Za-z .\-]*)?"  # an IBAN
    r"|-{4,5} ?[A-Z0-9 ]*"
    r"|(?i:\bb(?:earer|asic) {1,2}\S*)"
    r"|(?i:\b(?:mot(?: |$)(?:d|de|de )?|cle ?)$)"
    r"|(?i:\b(?:password|passwd|pwd|mdp|mot de p[a-z]*|api[_\-]?key|cle a[pi]*|secret[_\-]key|"
    r"access[_\-]token)[\"']? {0,2}[:=]? {0,2}[\"']?\S*))\z"
)

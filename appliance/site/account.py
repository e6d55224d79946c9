"""Accounts of the demo: what was generated for each, and the one-time code of the moment."""

import base64
import hmac

import msgspec

from appliance.errors import ApplianceError, FormatError

STEP = 30  # seconds a code lives (RFC 6238)
DIGITS = 6


class UnknownAccountError(ApplianceError):
    """No account of the demo has this name or role, or it has no second factor."""

    code = "CM-IDE-09"


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the accounts file."""

    role: str  # the first declared
    username: str
    realm: str
    password: str
    otp: str = ""  # base32; "" without a second factor


def parse(text: bytes) -> list[Account]:
    """Read an accounts file.

    Raises:
        FormatError: It is not one.
    """
    try:
        return msgspec.json.decode(text, type=list[Account])
    except msgspec.DecodeError as exc:
        raise FormatError(f"not an accounts file: {exc}") from exc


def write(accounts: list[Account]) -> bytes:
    """Return the text of an accounts file."""
    return msgspec.json.format(msgspec.json.encode(accounts), indent=1) + b"\n"


def find(accounts: list[Account], who: str) -> Account:
    """Return the account with this name, else the first one with this role.

    Raises:
        UnknownAccountError: There is none.
    """
    by_name = [account for account in accounts if account.username == who]
    by_role = [account for account in accounts if account.role == who]
    if not (found := by_name + by_role):
        raise UnknownAccountError(f"no account {who}")
    return found[0]


def one_time_code(account: Account, now: float) -> tuple[str, int]:
    """Return the code of the moment and the whole seconds that it is still good for.

    Args:
        account: With a secret.
        now: Seconds since 1970.

    Raises:
        UnknownAccountError: The account has no second factor.
    """
    if not account.otp:
        raise UnknownAccountError(f"{account.username} signs in without a code")
    secret = base64.b32decode(account.otp)
    step = int(now) // STEP
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}", STEP - int(now) % STEP

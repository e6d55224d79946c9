"""Application keys: text, digest, and who may hold or use one.

A key is `cm_`, 26 characters of secret and 4 of checksum, RFC 4648 base32 in lower case
without padding. The checksum (first 20 bits of the CRC-32 of all before it) catches typing
errors and lets a scanner recognise a leaked key; it protects nothing. Only the
HMAC-SHA256 of the secret under the site secret is stored: a stolen database opens nothing.

A key never gives more than its owner has at that moment: scopes are intersected, the label is
the lower of the two, and a disabled owner's keys are refused.
"""

import base64
import hashlib
import hmac
import ipaddress
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from appliance.errors import ApplianceError, FormatError
from appliance.identity.principal import (
    ForbiddenError,
    KeyTerms,
    Principal,
    Scope,
    UnauthenticatedError,
)

PREFIX = "cm_"
SECRET_BYTES = 16
SECRET_CHARS = 26
LONGEST_LIFE = timedelta(days=366)
# A key is for a tool that asks: it manages nothing, not even keys.
GRANTABLE = frozenset({Scope.CHAT, Scope.EMBED, Scope.SEARCH})
REFUSED = "no valid credential"


class TermsError(ApplianceError):
    """The wanted terms are not permitted: end, label or network."""

    code = "CM-DRT-05"


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


@dataclass(frozen=True, slots=True)
class ApplicationKey:
    """The secret half. Its `repr` shows nothing, so that it can appear in no log."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise FormatError(f"secret is {len(self.secret)} bytes, expected {SECRET_BYTES}")

    def text(self) -> str:
        """Return what the holder keeps."""
        body = PREFIX + _base32(self.secret)
        checksum = zlib.crc32(body.encode()).to_bytes(4, "big")
        return body + _base32(checksum)[:4]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key.

        Raises:
            FormatError: The text is not the one form of a key. It is never quoted.
        """
        secret = text[len(PREFIX) : len(PREFIX) + SECRET_CHARS]
        try:
            key = cls(base64.b32decode(secret.upper() + "======"))
        except ValueError as exc:
            raise FormatError("application key is unreadable") from exc
        if key.text() != text:  # wrong prefix, case, length, checksum or stray bits
            raise FormatError("application key is mistyped")
        return key

    def digest(self, site_secret: bytes) -> bytes:
        """Return what the database keeps: 32 bytes."""
        return hmac.digest(site_secret, self.secret, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a key allows, to whom, until when."""

    owner: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime
    models: frozenset[str] = frozenset()  # empty: all that the owner may use
    collections: tuple[str, ...] = ()  # slugs; empty: those of the owner
    networks: tuple[str, ...] = ()  # CIDR; empty: from anywhere on the site
    max_label: int = 0


def check_issue(issuer: Principal, terms: Terms, *, now: datetime) -> None:
    """Let `issuer` hand out a key under these terms.

    Raises:
        ForbiddenError: The terms give more than the issuer has, or name another owner.
        TermsError: The end is in the past or too far away, or a network is not one.
    """
    if terms.owner != issuer.subject or issuer.key is not None:
        raise ForbiddenError("a key is issued to a person, by that person")
    if excess := terms.scopes - (issuer.scopes & GRANTABLE):
        raise ForbiddenError(f"not yours to give: {', '.join(sorted(excess))}")
    if terms.max_label > issuer.clearance:
        raise ForbiddenError(f"not yours to give: label {terms.max_label}")
    if not now < terms.expires_at <= now + LONGEST_LIFE:
        raise TermsError(f"a key ends within {LONGEST_LIFE.days} days from now")
    for network in terms.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as exc:
            raise TermsError(f"not a network: {exc}") from exc


@dataclass(frozen=True, slots=True)
class Owner:
    """What the directory says of a key's owner now."""

    name: str
    roles: frozenset[str]
    scopes: frozenset[Scope]
    groups: tuple[str, ...]
    clearance: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """An issued key as the database knows it."""

    id: str  # uuid
    terms: Terms
    digest: bytes
    revoked_at: datetime | None


def admit(presented: bytes, grant: Grant, owner: Owner, *, now: datetime) -> Principal:
    """Return the caller who presents a key with this digest.

    Raises:
        UnauthenticatedError: Another key, one expired or revoked, or of a disabled owner. The
            message is the same for all: a thief does not learn that a key was once good.
    """
    same = hmac.compare_digest(presented, grant.digest)
    ended = grant.revoked_at is not None or now >= grant.terms.expires_at
    if not same or ended or not owner.enabled:
        raise UnauthenticatedError(REFUSED)
    terms = grant.terms
    return Principal(
        subject=terms.owner,
        name=owner.name,
        roles=owner.roles,
        scopes=terms.scopes & owner.scopes & GRANTABLE,
        groups=owner.groups,
        clearance=owner.clearance,
        until=terms.expires_at.timestamp(),
        key=KeyTerms(
            grant.id, terms.models, terms.collections, terms.max_label, terms.networks
        ),
    )


def check_network(terms: KeyTerms, address: str) -> None:
    """Let a key be used from this address: IPv4 or IPv6, as the front end saw it.

    Raises:
        UnauthenticatedError: It is bound to other networks, or the address is not known.
    """
    if not terms.networks:
        return
    try:
        seen = ipaddress.ip_address(address)
    except ValueError as exc:
        raise UnauthenticatedError(REFUSED) from exc
    if not any(seen in ipaddress.ip_network(network) for network in terms.networks):
        raise UnauthenticatedError(REFUSED)

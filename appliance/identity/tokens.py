"""Access tokens of the site realm (RFC 9068 in spirit, Keycloak's claims) and logout tokens.

Pure: keys and clock are arguments. What is checked, in this order: algorithm RS256 and nothing
else, a known `kid`, the signature, `typ`, issuer, audience, and times. The algorithm is never
read from the key, so that a token signed by HMAC with the public key as secret is refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from appliance.errors import FormatError
from appliance.identity.principal import LEEWAY, UnauthenticatedError

ALGORITHM = "RS256"
HIGHEST_LABEL = 9
LEVELS = frozenset("123")  # values of `acr`
KEY_BITS = 2048  # at least
LONGEST_TOKEN = 16_384  # characters
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

KeySet = Mapping[str, RSAPublicKey]  # kid to key


class UnknownKidError(UnauthenticatedError):
    """The token is signed with a key that is not in the set: rotated, or forged."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says."""

    subject: str
    name: str
    session: str  # "" for a service
    roles: frozenset[str]
    groups: tuple[str, ...]
    clearance: int
    amr: frozenset[str]
    acr: int
    signed_in: float  # seconds since 1970
    issued: float
    expires: float
    nonce: str = ""


def parse_keys(document: Any) -> KeySet:
    """Read a JWK set (RFC 7517), keeping the RSA keys that sign with RS256.

    Raises:
        FormatError: It is not a JWK set, or a key in it is broken or too short.
    """
    try:
        wanted = [
            key
            for key in document["keys"]
            if key.get("kty") == "RSA"
            and key.get("use", "sig") == "sig"
            and key.get("alg", ALGORITHM) == ALGORITHM
        ]
        found = {str(key["kid"]): RSAAlgorithm.from_jwk(key) for key in wanted}
    except (KeyError, TypeError, AttributeError, ValueError, jwt.InvalidKeyError) as exc:
        raise FormatError(f"not a key set: {exc!r}") from exc
    keys = {kid: key for kid, key in found.items() if isinstance(key, RSAPublicKey)}
    if any(key.key_size < KEY_BITS for key in keys.values()):
        raise FormatError("a signing key is too short")
    return keys


def key_of(token: str, keys: KeySet, *, header_type: str | None = None) -> RSAPublicKey:
    """Return the key that the header of a token names.

    Raises:
        UnauthenticatedError: The header is not one that the realm writes.
        UnknownKidError: It names a key that is not in the set.
    """
    if len(token) > LONGEST_TOKEN:
        raise UnauthenticatedError("token is too long")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError as exc:
        raise UnauthenticatedError("token is unreadable") from exc
    if header.get("alg") != ALGORITHM:
        raise UnauthenticatedError("token has another algorithm")
    if header_type is not None and header.get("typ") != header_type:
        raise UnauthenticatedError("token has another type")
    key = keys.get(str(header.get("kid")))
    if key is None:
        raise UnknownKidError("token is signed with an unknown key")
    return key


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a token must say of its origin."""

    issuer: str
    audience: str

    def verify(
        self, token: str, key: RSAPublicKey, *, now: float, kind: str = "Bearer"
    ) -> Claims:
        """Return the claims of a token.

        Args:
            token: Compact serialisation.
            key: Which `key_of` gave.
            now: Seconds since 1970. `exp` is exact; `iat` and `nbf` may be 10 s ahead.
            kind: Claim `typ`: `Bearer` (access) or `ID`.

        Raises:
            UnauthenticatedError: A check failed; the message names it and quotes nothing.
        """
        payload = self._decode(token, key, ["exp", "iat", "sub", "typ"])
        if payload["typ"] != kind:
            raise UnauthenticatedError("token has another type")
        check_times(payload, now)
        return claims_of(payload)

    def verify_logout(self, token: str, key: RSAPublicKey, *, now: float) -> tuple[str, str]:
        """Return session and subject of a back-channel logout token; one may be empty.

        OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6.

        Raises:
            UnauthenticatedError: A check failed.
        """
        payload = self._decode(token, key, ["exp", "iat", "jti", "events"])
        check_times(payload, now)
        events = payload["events"]
        if not isinstance(events, dict) or LOGOUT_EVENT not in events or "nonce" in payload:
            raise UnauthenticatedError("not a logout token")
        session, subject = str(payload.get("sid", "")), str(payload.get("sub", ""))
        if not session and not subject:
            raise UnauthenticatedError("logout token names nobody")
        return session, subject

    def _decode(self, token: str, key: RSAPublicKey, require: list[str]) -> dict[str, Any]:
        options: Any = {
            "require": ["iss", "aud", *require],
            "verify_exp": False,  # check_times: exp without leeway, the rest with it
            "verify_iat": False,
            "verify_nbf": False,
            "verify_jti": False,
        }
        try:
            return jwt.decode(
                token,
                key,
                [ALGORITHM],
                options=options,
                audience=self.audience,
                issuer=self.issuer,
            )
        except jwt.InvalidTokenError as exc:
            raise UnauthenticatedError(f"token refused: {type(exc).__name__}") from exc


def check_times(payload: Mapping[str, Any], now: float) -> None:
    """Let a token pass while it is valid.

    `exp` has no leeway: a token that outlives its 60 s would outlive a revocation.

    Raises:
        UnauthenticatedError: It is expired, or from the future.
    """
    times = [payload["exp"], payload["iat"], payload.get("nbf", 0)]
    if not all(_is_time(t) for t in times):
        raise UnauthenticatedError("token has no times")
    if times[0] <= now:
        raise UnauthenticatedError("token is expired")
    if times[1] > now + LEEWAY or times[2] > now + LEEWAY:
        raise UnauthenticatedError("token is from the future")


def _is_time(value: Any) -> bool:
    """Tell whether a claim is a number that compares: JSON of Python lets NaN pass."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _texts(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _clearance(value: Any) -> int:
    """Return the highest of several values; 0 where there is none or it is in disorder."""
    values = value if isinstance(value, list) else [value]
    ranks = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    return max((rank for rank in ranks if 0 <= rank <= HIGHEST_LABEL), default=0)


def claims_of(payload: Mapping[str, Any]) -> Claims:
    """Return the claims in our words. What is missing or in disorder gives no right."""
    acr, signed_in = str(payload.get("acr", "1")), payload.get("auth_time", 0)
    return Claims(
        subject=str(payload["sub"]),
        name=str(payload.get("preferred_username", "")),
        session=str(payload.get("sid", "")),
        roles=frozenset(_texts(payload.get("roles"))),
        groups=tuple(sorted(_texts(payload.get("groups")))),
        clearance=_clearance(payload.get("clearance")),
        amr=frozenset(_texts(payload.get("amr"))),
        acr=int(acr) if acr in LEVELS else 0,
        signed_in=float(signed_in) if _is_time(signed_in) else 0.0,
        issued=float(payload["iat"]),
        expires=float(payload["exp"]),
        nonce=str(payload.get("nonce", "")),
    )

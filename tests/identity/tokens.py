"""Tokens as Keycloak makes them, signed with a key of the test."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

ISSUER = "http://localhost:8080/auth/realms/casemate"
AUDIENCE = "casemate-gateway"


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of an access token of a user; `None` removes one."""
    now = int(time.time())
    made = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "a-subject",
        "sid": "a-session",
        "typ": "Bearer",
        "azp": "casemate-console",
        "iat": now,
        "exp": now + 60,
        "auth_time": now,
        "acr": "1",
        "amr": ["pwd"],
        "roles": ["utilisateur"],
        "groups": ["/equipes/accueil"],
        "clearance": [0, 1],
        "preferred_username": "camille",
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


@dataclass(frozen=True)
class Signer:
    private: RSAPrivateKey
    kid: str

    def token(self, payload: dict[str, Any] | None = None, **header: Any) -> str:
        """Sign claims; `header` is added to the header."""
        headers = {"kid": self.kid, **header}
        return jwt.encode(payload or claims(), self.private, "RS256", headers=headers)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "use": "sig", "alg": "RS256", **changes}

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.jwk()]}

    def confused(self, payload: dict[str, Any]) -> list[str]:
        """Sign by HMAC with what an attacker knows: each text of the public key."""
        public = self.private.public_key()
        texts = [
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            json.dumps(self.jwk()).encode(),
        ]
        return [self.by_hmac(payload, text) for text in texts]

    def by_hmac(self, payload: dict[str, Any], secret: bytes) -> str:
        body = compact({"alg": "HS256", "typ": "JWT", "kid": self.kid}, payload)
        return f"{body}.{base64url(hmac.digest(secret, body.encode(), hashlib.sha256))}"


def compact(header: dict[str, Any], payload: dict[str, Any]) -> str:
    return ".".join(base64url(json.dumps(part).encode()) for part in (header, payload))


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

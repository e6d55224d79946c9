"""SCRAM-SHA-256 (RFC 5802, RFC 7677): does a stored verifier belong to a password?

PostgreSQL stores `SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER`, base64. So a password is set
again only where it is another one, and the question needs no connection.
"""

import base64
import hashlib
import hmac
import re

_FORM = re.compile(r"SCRAM-SHA-256\$(\d+):([\w+/=]+)\$([\w+/=]+):([\w+/=]+)\Z")


def matches(verifier: str | None, password: str) -> bool:
    """Tell whether a verifier was made from this password (ASCII, so SASLprep keeps it)."""
    found = _FORM.match(verifier or "")
    if found is None:
        return False
    iterations, salt, stored, _ = found.groups()
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(salt), int(iterations)
    )
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client).digest(), base64.b64decode(stored))

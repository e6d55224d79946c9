"""Small secrets kept outside the process: cookies of a login under way, tokens of a session.

AES-256-GCM under a key derived (HKDF-SHA256) from a credential, one key per purpose. What is
sealed for one context opens in no other: the context is authenticated with it.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import VerificationError

NONCE_BYTES = 12
TAG_BYTES = 16


class Seal:
    """Seals and opens for one purpose."""

    def __init__(self, credential: bytes, purpose: str) -> None:
        info = f"casemate {purpose}".encode()
        self._aead = AESGCM(HKDF(SHA256(), 32, salt=None, info=info).derive(credential))

    def seal(self, plain: bytes, context: bytes, nonce: bytes) -> bytes:
        """Return nonce and ciphertext. `nonce` is 12 random bytes, used once."""
        if len(nonce) != NONCE_BYTES:
            raise RuntimeError("a nonce is 12 bytes")
        return nonce + self._aead.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Return what was sealed in this context.

        Raises:
            VerificationError: Other bytes, another key, purpose or context.
        """
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise VerificationError("too short to be sealed")
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except InvalidTag as exc:
            raise VerificationError("not sealed here") from exc

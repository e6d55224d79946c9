r"""Cosignatures: a witness says that it saw a checkpoint, and when.

Format: https://c2sp.org/tlog-cosignature, type 0x04: `u64 time ‖ Ed25519(64)` over
`cosignature/v1\ntime <time>\n` and the text of the checkpoint. Who cosigns says: at that time
no larger checkpoint of this log was known to me, and each one that I cosigned is a prefix of
it. The key is that of one witness, and signs nothing else.
"""

import struct
from dataclasses import dataclass
from typing import Self

from appliance.audit.key import SIGNATURE_BYTES, Algorithm, Signer, Verifier
from appliance.audit.note import Note, Signature
from appliance.errors import FormatError, VerificationError

_TIME = struct.Struct(">Q")
TIME_MAX = 2**53 - 1  # seconds: what every JSON reader keeps


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness: its name and its public key."""

    key: Verifier

    def __post_init__(self) -> None:
        if self.key.algorithm != Algorithm.COSIGNATURE:
            raise FormatError("the key of a witness is of type 0x04")

    def text(self) -> str:
        """Return the verifier key of the witness."""
        return self.key.text()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the verifier key of a witness; a final newline is let through.

        Raises:
            FormatError: Not one, or not of type 0x04.
        """
        return cls(Verifier.parse(text))

    def verify(self, text: bytes, data: bytes) -> int:
        """Check a cosignature over the text of a checkpoint; return its time.

        Args:
            text: Its final newline included.
            data: Time and signature, 72 bytes.

        Returns:
            Seconds since 1970, as the witness's clock said.

        Raises:
            VerificationError: It is not one of this witness.
        """
        if len(data) != _TIME.size + SIGNATURE_BYTES:
            raise VerificationError(f"the cosignature of {self.key.name} is cut")
        (at,) = _TIME.unpack_from(data)
        if at > TIME_MAX:
            raise VerificationError(f"the time of {self.key.name} is out of range")
        self.key.verify(message(text, at), data[_TIME.size :])
        return int(at)

    def time_of(self, note: Note) -> int | None:
        """Return when the witness last cosigned the note; None: it did not.

        Raises:
            VerificationError: A line in its name is false.
        """
        text = note.text.encode()
        return max((self.verify(text, line.data) for line in note.of(self.key)), default=None)


class WitnessKey:
    """The private key of a witness."""

    def __init__(self, name: str, seed: bytes) -> None:
        """Take the key.

        Args:
            name: Of the witness.
            seed: RFC 8032, 32 bytes; of no other key.

        Raises:
            FormatError: Not a key.
        """
        self._signer = Signer(name, seed)
        public = self._signer.verifier.public
        self.cosigner = Cosigner(Verifier(name, public, Algorithm.COSIGNATURE))

    def cosign(self, text: str, at: int) -> Signature:
        """Return the cosignature of a checkpoint.

        Args:
            text: Of a checkpoint that extends all that this key cosigned.
            at: Seconds since 1970.
        """
        assert 0 <= at <= TIME_MAX
        key = self.cosigner.key
        signed = self._signer.sign(message(text.encode(), at))
        return Signature(key.name, key.key_id, _TIME.pack(at) + signed)


def message(text: bytes, at: int) -> bytes:
    """Return the bytes that a cosignature signs."""
    return b"cosignature/v1\ntime %d\n%b" % (at, text)

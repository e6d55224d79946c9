"""Signed notes: a text and the signatures under it.

Format: https://c2sp.org/signed-note. A note has one form: what parsing accepts, printing gives
back. What a signature means is said by its key, in `key.py`.
"""

import base64
from dataclasses import dataclass
from typing import Self

from appliance.audit.key import KEY_ID_BYTES, Signer, Verifier, check_name, decode_base64
from appliance.errors import FormatError, VerificationError

NOTE_BYTES_MAX = 65_536
SIGNATURES_MAX = 16  # what every reader must accept at least; nobody here needs more
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class Signature:
    """A line under a note: whose, with which key, and the bytes that the key gave."""

    name: str
    key_id: bytes
    data: bytes

    def line(self) -> str:
        """Return the line, with its newline."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.data).decode()}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line without its newline.

        Raises:
            FormatError: Not a signature line.
        """
        match line.removeprefix(_DASH).split(" "):
            case [name, signature] if line.startswith(_DASH):
                check_name(name)
                data = decode_base64(signature)
            case _:
                raise FormatError("a signature line is a dash, a name and a signature")
        if len(data) <= KEY_ID_BYTES:
            raise FormatError("a signature is longer than the id of its key")
        return cls(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Note:
    """A text, its final newline included, and the signatures under it."""

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """Return the note as it is stored."""
        return (self.text + "\n" + "".join(s.line() for s in self.signatures)).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note. No signature is checked here.

        Raises:
            FormatError: Not a note.
        """
        if len(data) > NOTE_BYTES_MAX:
            raise FormatError(f"note is longer than {NOTE_BYTES_MAX} bytes")
        try:
            text = data.decode()
        except UnicodeDecodeError as exc:
            raise FormatError("note is not UTF-8") from exc
        if any(char < " " and char != "\n" for char in text):
            raise FormatError("note holds a control character")
        body, separator, lines = text.rpartition("\n\n")  # the text may hold empty lines
        if not separator or not lines.endswith("\n"):
            raise FormatError("note has no signatures, or no final newline")
        signatures = tuple(map(Signature.parse, lines[:-1].split("\n")))
        if not len(set(signatures)) == len(signatures) <= SIGNATURES_MAX:
            raise FormatError("note repeats a signature, or has too many")
        return cls(body + "\n", signatures)

    def of(self, verifier: Verifier) -> list[Signature]:
        """Return the lines that say to be of this key."""
        known = verifier.name, verifier.key_id
        return [one for one in self.signatures if (one.name, one.key_id) == known]

    def verify(self, verifier: Verifier) -> None:
        """Check that the key signed the text.

        Signatures of keys that we do not know say nothing, good or bad.

        Raises:
            VerificationError: It did not, or a line in its name is false.
        """
        own = self.of(verifier)
        if not own:
            raise VerificationError(f"the note is not signed by {verifier.name}")
        for signature in own:
            verifier.verify(self.text.encode(), signature.data)


def sign(text: str, signer: Signer) -> Note:
    """Return `text`, which ends with a newline, signed by each key of the signer."""
    assert text.endswith("\n")
    lines = signer.sign_all(text.encode())
    return Note(text, tuple(Signature(key.name, key.key_id, data) for key, data in lines))

"""The receipt of an answer: one file that proves what was recorded, and what was said.

A tlog-proof (`proof.py`) of the terminal record, whose `extra` line holds

    {"leaf": the record as text, "open": {"question": …, "answer": …}}

as JSON with sorted keys. Under `open` are the keys (base64, 32 bytes) of the commitments in the
record: the record's `prompt` commits to the question, its `answer` to the answer. Nobody but
who has the receipt can confirm a text against the log. `extra` is not signed, and needs not be:
a changed record has another leaf hash, a changed key opens nothing.

People verify a receipt without this package by the page `verify_receipt.py.txt` (python3 and
openssl). Tests give the two the same files.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import msgspec

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.content import KEY_BYTES, Part, commit
from appliance.audit.event import Leaf, Terminal
from appliance.audit.key import decode_base64, parse_keys
from appliance.audit.proof import Proof
from appliance.errors import FormatError, VerificationError

SUFFIX = ".tlog-proof"
COMMITMENTS: Mapping[Part, str] = {"question": "prompt", "answer": "answer"}  # part -> field

_encode = msgspec.json.Encoder(order="sorted").encode


class _Extra(msgspec.Struct, forbid_unknown_fields=True):
    leaf: str
    open: dict[Part, str]


@dataclass(frozen=True, slots=True)
class Verified:
    """A record that is in the log, and the keys that open its commitments."""

    index: int
    leaf: Leaf
    stored: bytes  # the record as it was hashed
    keys: Mapping[Part, bytes]
    head: Checkpoint  # signed, covers the record

    def check_text(self, part: Part, text: str) -> None:
        """Check that `text` is, to the byte, what the record commits to.

        Raises:
            VerificationError: It is not, or the receipt does not open this part.
        """
        if part not in self.keys:
            raise VerificationError(f"the receipt does not open the {part}")
        event = self.leaf.event
        if not isinstance(event, Terminal):
            raise VerificationError(f"record {self.index} does not end a request")
        committed = getattr(event, COMMITMENTS[part])
        if not committed:  # ended by the recorder, for a gateway that was lost
            raise VerificationError(f"record {self.index} commits to no {part}")
        if commit(self.keys[part], text) != committed:
            raise VerificationError(
                f"the {part} is not the one that record {self.index} commits to"
            )


def receipt_file(proof: Proof, leaf: bytes, keys: Mapping[Part, bytes]) -> bytes:
    """Return the receipt.

    Args:
        proof: Of the record.
        leaf: The record as it is in the log.
        keys: Commitment keys of the parts that the receipt may open; none is a receipt too.
    """
    opened: dict[Part, str] = {
        part: base64.b64encode(key).decode() for part, key in keys.items()
    }
    return proof.with_extra(_encode(_Extra(leaf.decode(), opened))).to_bytes()


def check(file: bytes, verifier_key: str) -> Verified:
    """Check a receipt against the keys of the log, as the installation report has them.

    Args:
        file: Not trusted.
        verifier_key: One key a line; each has to have signed.

    Raises:
        FormatError: Not a receipt, or not a verifier key.
        VerificationError: The record is not in the log of that key.
    """
    trusted = parse_keys(verifier_key)
    proof = Proof.parse(file)
    stored, keys = _opened(proof.extra)
    try:
        head = proof.verify(stored, *trusted)
    except VerificationError as exc:
        raise VerificationError(f"record {proof.index}: {exc}") from exc
    leaf = Leaf.parse(stored)
    if leaf.index != proof.index:
        raise VerificationError(f"record {proof.index} says that it is record {leaf.index}")
    return Verified(proof.index, leaf, stored, keys, head)


def page() -> str:
    """Return the program that verifies a receipt with python3 and openssl alone."""
    return (files("appliance.audit") / "verify_receipt.py.txt").read_text("utf-8")


def page_digest() -> str:
    """Return the SHA-256 of the page, which people compare before they run it."""
    return hashlib.sha256(page().encode()).hexdigest()


def _opened(extra: bytes | None) -> tuple[bytes, dict[Part, bytes]]:
    if extra is None:
        raise FormatError("the proof holds no record: it is not a receipt")
    try:
        fields = msgspec.json.decode(extra, type=_Extra)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"the extra line of the receipt is unreadable: {exc}") from exc
    if _encode(fields) != extra:
        raise FormatError("the extra line of the receipt is not in canonical form")
    keys: dict[Part, bytes] = {part: decode_base64(key) for part, key in fields.open.items()}
    if any(len(key) != KEY_BYTES for key in keys.values()):
        raise FormatError(f"a key of a receipt is {KEY_BYTES} bytes")
    return fields.leaf.encode(), keys

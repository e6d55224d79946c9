"""Which keys of a log hold for which sizes, and from which size on a stolen one proves nothing.

What the tlog-policy format cannot say. The file goes with the policy, to those who verify:

    {"v": 1, "origin": …, "revoked_from_size": null | size,
     "keys": [{"vkey": …, "from_size": 0, "to_size": null | size, "status": …}]}

A checkpoint is signed by every key whose sizes, both bounds included, hold its own: at the size
where one key follows another, by both. The status of a key is `active`, `retired`, or
`revoked`: of a revoked key only checkpoints up to `revoked_from_size` count, the size of the
last anchor that is known to be good; the records from there on, up to where another key begins,
are signed and not proven. A keyring has one form: what parsing accepts, printing gives back.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import msgspec

from appliance.audit.checkpoint import Checkpoint, open_checkpoint
from appliance.audit.key import KEYS_MAX, Algorithm, Verifier
from appliance.audit.note import Note
from appliance.audit.tree import SIZE_MAX
from appliance.errors import FormatError, VerificationError

KEYRING_BYTES_MAX = 65_536
Size = Annotated[int, msgspec.Meta(ge=0, le=SIZE_MAX)]


class BoundKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key of the log, and the sizes of the checkpoints that it signs."""

    vkey: str
    from_size: Size = 0
    to_size: Size | None = None  # None: no end
    status: Literal["active", "retired", "revoked"] = "active"

    @property
    def key(self) -> Verifier:
        """The key.

        Raises:
            FormatError: It is none.
        """
        return Verifier.parse(self.vkey)

    def holds(self, size: int) -> bool:
        """Tell whether checkpoints of this size are its to sign."""
        return self.from_size <= size and (self.to_size is None or size <= self.to_size)


class Keyring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of a log, from its beginning on."""

    v: Literal[1]
    origin: str
    revoked_from_size: Size | None
    keys: tuple[BoundKey, ...]

    def text(self) -> str:
        """Return the file."""
        return json.dumps(msgspec.to_builtins(self), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file.

        Raises:
            FormatError: Not a keyring in its one form.
        """
        if len(text) > KEYRING_BYTES_MAX:
            raise FormatError("the keyring is too long")
        try:
            keyring = msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError) as exc:
            raise FormatError(f"not a keyring: {exc}") from exc
        if keyring.text() != text:
            raise FormatError("the keyring is not in canonical form")
        _check(keyring)
        return keyring

    @classmethod
    def of(cls, keys: Sequence[Verifier]) -> Self:
        """Return the keyring of a log whose keys never changed."""
        bound = tuple(BoundKey(key.text()) for key in keys)
        keyring = cls(1, keys[0].name, None, bound)
        _check(keyring)
        return keyring

    def keys_of(self, size: int) -> tuple[Verifier, ...]:
        """Return the keys that must have signed a checkpoint of this size.

        Keys of types that are not known here are left out.

        Raises:
            VerificationError: None that proves anything.
        """
        held = [bound for bound in self.keys if bound.holds(size) and bound.key.supported]
        if not held:
            raise VerificationError(f"no key of the keyring signs {size} records")
        good = tuple(one.key for one in held if not self._lost(one, size))
        if not good:
            raise VerificationError(
                f"the key that signed {size} records proves nothing from "
                f"{self.revoked_from_size} records on: it was revoked"
            )
        return good

    def open(self, note: bytes) -> Checkpoint:
        """Read a checkpoint that is signed as it has to be.

        Args:
            note: Not trusted.

        Raises:
            FormatError: Not a note, or its text is not a checkpoint.
            VerificationError: Another log's, or not signed by each key of its size.
        """
        said = Checkpoint.parse(Note.parse(note).text)  # only to know which keys to ask
        return open_checkpoint(note, *self.keys_of(said.size))

    def unproven(self) -> range:
        """Return the records that a stolen key may have changed: signed, and not proven.

        They end where a key begins that is not revoked; without one they have no end here.
        """
        if self.revoked_from_size is None:
            return range(0)
        later = [
            bound.from_size
            for bound in self.keys
            if bound.status != "revoked" and bound.from_size >= self.revoked_from_size
        ]
        return range(self.revoked_from_size, min(later, default=SIZE_MAX))

    def _lost(self, bound: BoundKey, size: int) -> bool:
        last = self.revoked_from_size
        return bound.status == "revoked" and last is not None and size > last


def _check(keyring: Keyring) -> None:
    """Check what the types do not say.

    Raises:
        FormatError: It is not so.
    """
    keys = [bound.key for bound in keyring.keys]
    if not 0 < len(keys) <= KEYS_MAX or len(set(keys)) != len(keys):
        raise FormatError("a keyring has keys, at most 16, and each once")
    if any(key.name != keyring.origin for key in keys):
        raise FormatError("the keys of a keyring have the name of the log")
    if any(key.algorithm == Algorithm.COSIGNATURE for key in keys):
        raise FormatError("the key of a log is not that of a witness")
    if any(one.to_size is not None and one.to_size < one.from_size for one in keyring.keys):
        raise FormatError("a key of the keyring ends before it begins")
    revoked = any(bound.status == "revoked" for bound in keyring.keys)
    if revoked != (keyring.revoked_from_size is not None):
        raise FormatError("a revoked key and the size from which it proves nothing go together")

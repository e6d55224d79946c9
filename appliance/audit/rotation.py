"""Gives the log new keys: the checkpoint at that size is signed by the old ones and the new.

    <log>/rotation/            the new keys, until they take their places
    <log>/rotation/complete    the keyring, once the checkpoint with both signatures is durable
    <log>/checkpoints/N.note   that checkpoint
    <log>/keyring.json         which keys hold for which sizes; goes to those who verify

`key.rotate` is the last record that the old keys sign for. Then their private halves are
destroyed. When a key was stolen, the old keys are revoked from a size on, that of the last
anchor that is known to be good: what follows up to the rotation is signed, and not proven.

A command that was cut short is run again: before `complete` it begins anew, after it it goes on
to the end. In between no recorder starts, since its keys are not those that are published.
"""

import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.audit import publisher, volume
from appliance.audit.event import Kind
from appliance.audit.key import SEED_BYTES, Signer, Verifier, keys_text, scalar_from
from appliance.audit.keyring import BoundKey, Keyring
from appliance.audit.lineage import KEYRING, read_keyring
from appliance.audit.maintenance import Held, alone, destroy_key, held
from appliance.audit.publisher import write_files
from appliance.errors import ApplianceError
from appliance.settings import RecorderSettings

FOLDER, CHECKPOINTS = "rotation", "checkpoints"
_COMPLETE = "complete"
_PLACES = (volume.KEY_P256, volume.VERIFIER_KEY, volume.KEY)


class RotationError(ApplianceError):
    """The keys are not changed so; the message says why."""

    code = "CM-JRN-42"


@dataclass(frozen=True, slots=True)
class Rotated:
    """New keys are in their places."""

    keys: str  # one verifier key a line: for the report
    size: int  # of the checkpoint that both sign; 0 when only the end was left to do
    keyring: Path


class Both(Signer):
    """Signs with the old keys and the new ones: for one checkpoint."""

    def __init__(self, old: Signer, new: Signer) -> None:
        """Take both; neither is changed."""
        self._signers = old, new
        self.verifier = old.verifier
        self.verifiers = old.verifiers + new.verifiers

    def sign_all(self, text: bytes) -> list[tuple[Verifier, bytes]]:
        """Return the signature of each key."""
        return [line for signer in self._signers for line in signer.sign_all(text)]


def rotate(
    settings: RecorderSettings, person: str, reason: str, revoked_from: int | None = None
) -> Rotated:
    """Change the keys of the log, whose recorder does not run.

    Args:
        settings: Of the recorder.
        person: Who does it.
        reason: In their words.
        revoked_from: When a key was stolen: the size of the last anchor known to be good.

    Raises:
        RotationError: There is no such size.
        VolumeError: The recorder runs, or there is no log.
        RollbackError: The log must not go on.
        OSError: A write failed; run the command again.
    """
    directory = settings.directory
    with alone(directory):
        if (directory / FOLDER / _COMPLETE).exists():
            return _take_places(directory, 0)
    with held(settings) as log:
        size = log.writer.admission.size + 1
        if revoked_from is not None and not 0 < revoked_from < size:
            raise RotationError(f"{revoked_from} is not the size of a checkpoint of this log")
        old = volume.read_signer(directory, log.publisher.head.origin)
        new = _new_keys(directory, old.verifier.name)
        ring = bound(read_keyring(directory, old.verifiers), new.verifiers, size, revoked_from)
        _record(log, (old, new), reason, person, revoked_from)
        assert log.publisher.head.size == size
        write_files(directory, {f"{CHECKPOINTS}/{size}.note": log.publisher.note})
        write_files(directory / FOLDER, {_COMPLETE: ring.text().encode()})
    with alone(directory):
        return _take_places(directory, size)


def bound(
    ring: Keyring, new: Sequence[Verifier], size: int, revoked_from: int | None = None
) -> Keyring:
    """Return the keyring after a rotation at `size`; pure."""
    ended: Literal["retired", "revoked"] = "retired" if revoked_from is None else "revoked"
    old = tuple(
        one if one.status != "active" else BoundKey(one.vkey, one.from_size, size, ended)
        for one in ring.keys
    )
    added = tuple(BoundKey(key.text(), size) for key in new)
    revoked = ring.revoked_from_size if revoked_from is None else revoked_from
    return Keyring(1, ring.origin, revoked, old + added)


def _new_keys(directory: Path, origin: str) -> Signer:
    """Make the new keys, durably, where they wait for their places."""
    folder = directory / FOLDER
    if folder.exists():  # of a rotation that was cut short before it counted
        for name in (volume.KEY, volume.KEY_P256):
            destroy_key(folder / name)
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    seed = secrets.token_bytes(SEED_BYTES)
    scalar = scalar_from(secrets.token_bytes(SEED_BYTES + 8))
    new = Signer(origin, seed, scalar)
    for name, data in ((volume.KEY, seed), (volume.KEY_P256, scalar)):
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
    write_files(folder, {volume.VERIFIER_KEY: f"{keys_text(new.verifiers)}\n".encode()})
    return new


def _record(
    log: Held, signers: tuple[Signer, Signer], reason: str, person: str, revoked: int | None
) -> None:
    """Record the rotation, and publish it under both signatures."""
    old, new = signers
    data: dict[str, str | int] = {"by": person, "reason": reason[:200]}
    data |= {f"old_{n}": key.key_id.hex() for n, key in enumerate(old.verifiers)}
    data |= {f"new_{n}": key.text() for n, key in enumerate(new.verifiers)}
    if revoked is not None:
        data["revoked_from"] = revoked
    log.writer.record(Kind.KEY_ROTATE, **data)
    log.publisher.sign_with(Both(old, new))
    log.publish()


def _take_places(directory: Path, size: int) -> Rotated:
    """Put the new keys into their places; the old private ones are destroyed."""
    folder = directory / FOLDER
    write_files(directory, {KEYRING: (folder / _COMPLETE).read_bytes()})
    for name in _PLACES:
        if (folder / name).exists():
            if name != volume.VERIFIER_KEY:
                destroy_key(directory / name)
            (folder / name).rename(directory / name)
            publisher.sync(directory)
    (folder / _COMPLETE).unlink()
    folder.rmdir()
    publisher.sync(directory)
    keys = (directory / volume.VERIFIER_KEY).read_text("ascii").strip()
    return Rotated(keys, size, directory / KEYRING)

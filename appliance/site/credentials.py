"""Secrets made on the machine that uses them, once: one file each, for its owner's eyes.

A secret is made where it is missing and never replaced: on a site root owns the files, and
systemd hands each process those that its unit names.
"""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.errors import ApplianceError

HISTORY = "history-key"  # seals and opens the owners' history; its public half is beside it
KEYS = (
    "site-secret",  # digests of application keys, cache salts
    "session-key",  # sessions of the console
    "object-key",  # originals of documents
    "reader-key",  # wraps the months' keys of the reader
)
PASSWORDS = (
    "console-client", "worker-client", "events-client", "provision-client", "bootstrap",
    "database",
)  # fmt: skip
NAMES = (*KEYS, *PASSWORDS, HISTORY)


class CredentialError(ApplianceError):
    """A secret is asked for that no process has, or that cannot be written."""

    code = "CM-IDE-08"


def make(folder: Path, names: Iterable[str], mode: int = 0o400) -> list[str]:
    """Make the secrets that are missing and return their names.

    Args:
        folder: Where they are kept; its owner alone may look into it.
        names: Of `NAMES`.
        mode: Of the files.

    Raises:
        CredentialError: A name is unknown.
    """
    made: list[str] = []
    for name in names:
        if name not in NAMES:
            raise CredentialError(f"{name}: no such secret; there are {', '.join(NAMES)}")
        if (folder / name).exists():
            continue
        for part, content in _generate(name).items():
            write_whole(folder / part, content, mode)
        made.append(name)
    return made


def _generate(name: str) -> dict[str, bytes]:
    """Return file names and contents; what is asked for comes last, and makes it whole."""
    if name == HISTORY:  # raw X25519 keys
        key = X25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        return {f"{HISTORY}.pub": public, HISTORY: key.private_bytes_raw()}
    if name in PASSWORDS:
        return {name: secrets.token_urlsafe(32).encode()}
    return {name: secrets.token_bytes(32)}


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Make or replace a file; it is whole or as it was, also after a power cut."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Originals, encrypted at rest: content-addressed, one random key per document."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Objects:
    """The folder of originals and the key under which documents' keys are wrapped."""

    folder: Path
    key: bytes  # of the credential `object_key`

r"""Which log a folder holds now, what it followed, and what is known of it elsewhere.

    epoch                number of the log, one line; without it the log is the first one
    keyring.json         which keys held for which sizes, once they were changed
    epochs/N/            the log of epoch N, as it was when the next one began; never written

A checkpoint that comes back from elsewhere (an anchor, a reply of the witness) is a note named
`<size>.note`. The recorder reads the largest of each folder at its start: a log that was
restored together with its last signed root is behind them, and refused. Who can write such a
folder can take notes away, and add none: only those that the keys of the log signed count.
"""

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from appliance.audit.checkpoint import Checkpoint, open_checkpoint
from appliance.audit.epoch import origin_of
from appliance.audit.key import Verifier
from appliance.audit.keyring import Keyring
from appliance.audit.segments import VolumeError
from appliance.errors import FormatError, VerificationError
from appliance.settings import RecorderSettings

log = logging.getLogger(__name__)

KEYRING = "keyring.json"
EPOCH, EPOCHS, KNOWN, ANCHORS = "epoch", "epochs", "known", "anchors"
_LARGEST = 8  # notes of a folder that are read


def current_epoch(directory: Path) -> int:
    """Return the number of the log in `directory`.

    Raises:
        VolumeError: The file that says so is damaged.
    """
    try:
        text = (directory / EPOCH).read_text("ascii")
    except FileNotFoundError:
        return 1
    except (OSError, UnicodeDecodeError) as exc:
        raise VolumeError(f"{directory / EPOCH}: {exc}") from exc
    number = text.removesuffix("\n")
    if not number.isdecimal() or text != f"{int(number)}\n" or int(number) <= 1:
        raise VolumeError(f"{directory / EPOCH}: not the number of an epoch")
    return int(number)


def current_origin(directory: Path, first: str) -> str:
    """Return the origin of the log in `directory`; `first` is that of the settings.

    Raises:
        VolumeError: The file that says so is damaged.
    """
    return origin_of(first, current_epoch(directory))


def former(directory: Path, epoch: int) -> Path:
    """Return where the log of an earlier epoch is kept."""
    return directory / EPOCHS / str(epoch)


def folders_of(settings: RecorderSettings) -> list[Path]:
    """Return the folders in which checkpoints of the log come back from elsewhere."""
    return [anchors_of(settings), settings.known or settings.last_signed / KNOWN]


def anchors_of(settings: RecorderSettings) -> Path:
    """Return the folder of the anchored checkpoints."""
    return settings.anchors or settings.directory / ANCHORS


def read_keyring(directory: Path, keys: Sequence[Verifier]) -> Keyring:
    """Return which keys held for which sizes; without a rotation, those that sign now.

    Raises:
        FormatError: The file is no keyring.
    """
    try:
        return Keyring.parse((directory / KEYRING).read_text("utf-8"))
    except FileNotFoundError:
        return Keyring.of(keys)


def keys_ever(directory: Path, keys: Sequence[Verifier]) -> list[Verifier]:
    """Return the keys that sign now, then those that signed before.

    Raises:
        FormatError: The keyring is none.
    """
    ring = read_keyring(directory, keys)
    earlier = [one.key for one in ring.keys if one.key.supported]
    return [*keys, *(key for key in earlier if key not in keys)]


def known_elsewhere(
    folders: Sequence[Path], keys: Sequence[Verifier]
) -> list[tuple[Checkpoint, Path]]:
    """Return the largest checkpoints of the log that lie in these folders, where they are.

    Those of a log that it follows may be there too, and larger: they are passed over.
    """
    found: list[tuple[Checkpoint, Path]] = []
    for folder in folders:
        notes = [path for path in folder.glob("*.note") if path.stem.isdecimal()]
        largest = sorted(notes, key=lambda path: -int(path.stem))
        own = (path for path in largest if _names(path, keys[0].name))
        for path in islice(own, _LARGEST):
            try:
                found.append((open_known(path.read_bytes(), keys), path))
            except (OSError, FormatError, VerificationError) as exc:
                log.warning("%s is not taken into account: %s", path, exc)
    return found


def _names(path: Path, origin: str) -> bool:
    """Tell whether a file says to be of this log; one that cannot be read is told of later."""
    try:
        with path.open("rb") as file:
            return file.readline() == f"{origin}\n".encode()
    except OSError:
        return True


def open_known(note: bytes, keys: Sequence[Verifier]) -> Checkpoint:
    """Read a note that one of the keys signed: a witness need not keep all lines.

    Raises:
        FormatError: It is no note.
        VerificationError: None of the keys signed it.
    """
    failure = VerificationError("there is no key")
    for key in keys:
        try:
            return open_checkpoint(note, key)
        except VerificationError as exc:
            failure = exc
    raise failure

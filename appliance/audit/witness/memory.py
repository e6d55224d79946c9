"""The folder of a witness: its key, and the last checkpoint of each log that it cosigned.

    witness.key                   seed of its Ed25519 key (RFC 8032, 5.1.5), 0400
    verifier-key                  the key that verifies its cosignatures, one line
    <hex SHA-256 of the origin>/  one folder for each log
        checkpoint                signed by the log, cosigned here; replaced by rename
        refused/<hex SHA-256>     a request of the log's own key that contradicts it: evidence

Checking and keeping are one step under flock(2) of the log's folder, for threads, processes
and commands alike: of two requests that both extend the last checkpoint, the second one is
judged by the first. What was decided is durable before the cosignature leaves. A folder that is
not there is never made by a request: a witness that forgot would cosign an older log.
"""

import fcntl
import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.cosignature import WitnessKey
from appliance.audit.key import SEED_BYTES, Verifier, parse_keys
from appliance.audit.note import Note
from appliance.audit.publisher import CHECKPOINT, write_files
from appliance.audit.witness.request import RefusedError, Request, Status, judge
from appliance.errors import ApplianceError, FormatError, VerificationError

log = logging.getLogger(__name__)

KEY, VERIFIER_KEY, REFUSED = "witness.key", "verifier-key", "refused"
EVIDENCE_MAX = 64  # requests kept for each log
Logs = Mapping[str, Sequence[Verifier]]  # origin -> the keys of the log


class WitnessError(ApplianceError):
    """The key or the memory of the witness is not there, or not its own."""

    code = "CM-JRN-21"


class Witness:
    """Cosigns what extends what it knows."""

    def __init__(
        self, directory: Path, key: WitnessKey, logs: Logs, clock: Callable[[], float]
    ) -> None:
        """Take the folder.

        Args:
            directory: Made by `create`.
            key: Of the witness.
            logs: That it follows.
            clock: Seconds since 1970.

        Raises:
            WitnessError: The memory of one of the logs is not there, or not its own.
        """
        self._directory, self._key, self._logs, self._clock = directory, key, logs, clock
        for origin in logs:
            self._latest(origin)

    def add(self, body: bytes) -> bytes:
        """Judge a request; return the cosignature, as a line.

        Args:
            body: Not trusted.

        Raises:
            RefusedError: It is not cosigned.
            WitnessError: The memory of the log is not there, or not its own.
            OSError: It cannot be written: nothing was cosigned.
        """
        try:
            request = Request.parse(body)
            origin = request.checkpoint.origin
        except FormatError as exc:
            raise RefusedError(Status.MALFORMED, str(exc)) from exc
        keys = self._logs.get(origin, ())
        if not keys:
            return judge(request, keys, None).to_bytes()  # raises
        with _flocked(self._folder(origin)):
            try:
                note = judge(request, keys, self._latest(origin))
            except RefusedError as exc:
                self._keep_evidence(origin, body, exc)
                raise
            line = self._key.cosign(note.text, int(self._clock()))
            kept = Note(note.text, (*note.signatures, line))
            write_files(self._folder(origin), {CHECKPOINT: kept.to_bytes()})
        return line.line().encode()

    def checkpoint(self, digest: str) -> bytes | None:
        """Return the last checkpoint of the log whose origin has this SHA-256, in hex.

        Raises:
            WitnessError: The memory of the log is not there, or not its own.
        """
        origin = next((one for one in self._logs if folder_of(one) == digest), None)
        if origin is None or self._latest(origin) is None:
            return None
        return (self._folder(origin) / CHECKPOINT).read_bytes()

    def _folder(self, origin: str) -> Path:
        return self._directory / folder_of(origin)

    def _latest(self, origin: str) -> Checkpoint | None:
        folder = self._folder(origin)
        if not folder.is_dir():
            raise WitnessError(f"{folder} is not there: the witness knows nothing of {origin}")
        try:
            note = Note.parse((folder / CHECKPOINT).read_bytes())
            found = Checkpoint.parse(note.text)
            cosigned = self._key.cosigner.time_of(note)
        except FileNotFoundError:
            return None
        except (OSError, FormatError, VerificationError) as exc:
            raise WitnessError(f"{folder / CHECKPOINT}: {exc}") from exc
        if cosigned is None or found.origin != origin:
            raise WitnessError(f"{folder / CHECKPOINT} is not what this witness cosigned")
        return found

    def _keep_evidence(self, origin: str, body: bytes, refusal: RefusedError) -> None:
        """Keep a request that the log signed and that contradicts what it signed before."""
        log.warning("a request of %s is refused: %s", origin, refusal)
        if refusal.status != Status.INCONSISTENT:
            return
        folder = self._folder(origin) / REFUSED
        folder.mkdir(exist_ok=True)
        if sum(1 for _ in folder.iterdir()) < EVIDENCE_MAX:
            write_files(folder, {hashlib.sha256(body).hexdigest(): body})


def folder_of(origin: str) -> str:
    """Return the name under which a witness keeps and serves a log."""
    return hashlib.sha256(origin.encode()).hexdigest()


def logs_of(keys: Sequence[str]) -> dict[str, tuple[Verifier, ...]]:
    """Return the logs that these verifier keys belong to.

    Raises:
        FormatError: One of them is no key of a log.
    """
    by_origin: dict[str, list[str]] = {}
    for text in keys:
        by_origin.setdefault(Verifier.parse(text).name, []).append(text)
    return {origin: parse_keys("\n".join(lines)) for origin, lines in by_origin.items()}


def create(directory: Path, name: str, logs: Logs) -> tuple[WitnessKey, list[str]]:
    """Make the key if there is none, and a folder for each log that has none.

    Returns:
        The key, and the origins of the logs of which nothing was known.

    Raises:
        WitnessError: The folder cannot be written.
    """
    try:
        if not os.path.lexists(directory / KEY):
            seed = secrets.token_bytes(SEED_BYTES)
            fd = os.open(directory / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(fd, "wb") as file:
                file.write(seed)
                file.flush()
                os.fsync(fd)
        key = read_key(directory, name)
        new = [origin for origin in logs if not (directory / folder_of(origin)).exists()]
        for origin in new:
            (directory / folder_of(origin)).mkdir(mode=0o750)
        write_files(directory, {VERIFIER_KEY: f"{key.cosigner.text()}\n".encode()})
    except OSError as exc:
        raise WitnessError(f"{directory}: {exc.strerror or exc}") from exc
    return key, new


def read_key(directory: Path, name: str) -> WitnessKey:
    """Return the key of the witness.

    Raises:
        WitnessError: It is not there.
        FormatError: It is no key.
    """
    try:
        fd = os.open(directory / KEY, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as file:
            return WitnessKey(name, file.read(SEED_BYTES + 1))
    except OSError as exc:
        raise WitnessError(f"{directory}: {exc.strerror}: {KEY}") from exc


@contextmanager
def _flocked(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)

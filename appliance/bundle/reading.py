"""The bytes of the media, against what the signed manifest says: sizes, digests, nothing more.

Sizes first: a copy that was cut short is found in a second. Then every digest, several files
at a time, good ones remembered. Whatever is wrong is named with its medium.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.bundle.chunks import Advance, Fault, fault, size_fault
from appliance.bundle.manifest import Manifest, chunk_path
from appliance.bundle.medium import Media
from appliance.bundle.memory import Memory
from appliance.bundle.refusal import BundleError, DamagedError
from appliance.bundle.verify import Release

READERS = 4  # files at a time: enough to hide the latency of a stick, kind to its heads
_SHOWN = 20  # findings in a message; `--json` has them all
FRENCH = {
    Fault.MISSING: "absent",
    Fault.SIZE: "de mauvaise taille (copie interrompue ?)",
    Fault.CONTENT: "modifié (son empreinte est fausse)",
    Fault.UNSTABLE: "lu deux fois, deux résultats : support ou mémoire défectueux",
}
ENGLISH = {
    Fault.MISSING: "missing",
    Fault.SIZE: "of the wrong size (interrupted copy?)",
    Fault.CONTENT: "modified (its digest is wrong)",
    Fault.UNSTABLE: "read twice, two results: bad medium or memory",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong on a medium: the path there, the medium's name, and what it is for."""

    path: str
    medium: str  # such as 2/3
    fault: Fault
    files: tuple[str, ...] = ()  # of the release, that need it

    def line(self, *, french: bool) -> str:
        """Return a sentence."""
        what = (FRENCH if french else ENGLISH)[self.fault]
        needed = f" [{self.files[0]}]" if self.files else ""
        return (
            f"Support {self.medium} : {self.path} {what}{needed}"
            if french
            else f"Medium {self.medium}: {self.path} {what}{needed}"
        )


class FindingsError(DamagedError):
    """Chunks or files are missing or wrong; each is named."""

    def __init__(self, findings: Iterable[Finding], absent: Iterable[int] = ()) -> None:
        self.findings, self.absent = list(findings), list(absent)
        super().__init__("CM-INS-11", self._text(french=True), self._text(french=False))

    def _text(self, *, french: bool) -> str:
        lines = [each.line(french=french) for each in self.findings[:_SHOWN]]
        if (more := len(self.findings) - _SHOWN) > 0:
            lines.append(f"… et {more} de plus" if french else f"… and {more} more")
        if self.absent:
            numbers = ", ".join(map(str, self.absent))
            lines.insert(
                0,
                f"Support non présenté : {numbers}"
                if french
                else f"Medium not given: {numbers}",
            )
        return "\n".join(lines)


def check_sizes(media: Media, release: Release, wanted: dict[str, int]) -> None:
    """Check that the chunks and the small files are there, with their sizes.

    Args:
        media: Where to look.
        release: What was proved.
        wanted: Chunks to look for: digest to size in bytes.

    Raises:
        FindingsError: With every one that is not.
    """
    findings = list[Finding]()
    users = needed_by(release.manifest)
    for digest, size in wanted.items():
        path = media.find(digest)
        wrong = Fault.MISSING if path is None else size_fault(path, size)
        if wrong is not None:
            findings.append(_of_chunk(media, digest, wrong, users))
    for folder in media.folders:
        findings += [
            Finding(name, folder.label(), Fault.MISSING)
            for name in release.manifest.files
            if not (folder.path / name).is_file()
        ]
    if findings:
        raise FindingsError(findings, media.absent())


def check_bytes(
    media: Media, release: Release, memory: Memory, advance: Advance, readers: int = READERS
) -> int:
    """Read every chunk and small file that the media carry. Return how many were known as good.

    Raises:
        FindingsError: With every one whose bytes are wrong.
    """

    def read(task: _Task) -> Finding | bool:
        return _read(task, memory, advance)

    try:
        with ThreadPoolExecutor(readers) as pool:
            results = list(pool.map(read, _tasks(media, release)))
    finally:
        memory.save()
    if findings := [each for each in results if isinstance(each, Finding)]:
        raise FindingsError(findings)
    return results.count(True)


def bytes_to_read(media: Media, release: Release) -> int:
    """Return the bytes of all that `check_bytes` reads."""
    small = (folder.path / name for folder in media.folders for name in release.small())
    return sum(release.carried().values()) + sum(path.lstat().st_size for path in small)


def check_nothing_more(media: Media, release: Release) -> None:
    """Check that the media carry no file that the signed list does not name.

    Raises:
        BundleError: Naming them.
    """
    found = [str(path) for path in media.unexpected(set(release.listed))]
    if not found:
        return
    shown = ", ".join(repr(path) for path in found[:_SHOWN])
    raise BundleError(
        "CM-INS-12",
        f"{len(found)} fichier(s) que la livraison ne contient pas, à retirer : {shown}",
        f"{len(found)} file(s) that the release does not contain, to be removed: {shown}",
    )


def needed_by(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Return, for each chunk, the paths of the release that need it."""
    users: dict[str, list[str]] = {}
    for file in manifest.tree():
        for chunk in file.chunks:
            users.setdefault(chunk.sha256, []).append(file.path)
    return {digest: tuple(paths) for digest, paths in users.items()}


@dataclass(frozen=True, slots=True)
class _Task:
    path: Path
    digest: str
    named: Finding  # what to say if the file has gone


def _tasks(media: Media, release: Release) -> list[_Task]:
    users, tasks = needed_by(release.manifest), list[_Task]()
    for digest in release.carried():
        named = _of_chunk(media, digest, Fault.MISSING, users)
        tasks.append(_Task(media.find(digest) or Path(named.path), digest, named))
    for folder in media.folders:
        for name, digest in release.small().items():
            named = Finding(name, folder.label(), Fault.MISSING)
            tasks.append(_Task(folder.path / name, digest, named))
    return tasks


def _read(task: _Task, memory: Memory, advance: Advance) -> Finding | bool:
    """Return what is wrong, or whether the file was known as good already."""
    try:
        if memory.knows(task.path, task.digest):
            advance(task.path.stat().st_size)
            return True
        if (wrong := fault(task.path, task.digest, advance)) is not None:
            return replace(task.named, fault=wrong)
        memory.keep(task.path, task.digest)
    except OSError:  # the medium was pulled out
        return task.named
    return False


def _of_chunk(
    media: Media, digest: str, wrong: Fault, users: dict[str, tuple[str, ...]]
) -> Finding:
    return Finding(chunk_path(digest), media.label(digest), wrong, users.get(digest, ()))

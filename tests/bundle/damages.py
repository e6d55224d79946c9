"""What happens to media on their way, and what must be said of it by every verifier.

A case prepares the folder of an intact bundle, and returns the folders to verify. The same
table is run through `casemate bundle verify` and through `VERIFY.sh`.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.bundle import pack
from appliance.bundle.manifest import Manifest
from appliance.bundle.medium import open_media
from tests.bundle.bundles import OTHER_KEY, Recipe, build, chunk_files, flip, make_root

LATER = 1 << 33  # seconds since 1970: after any clock of a test


@dataclass(frozen=True)
class Case:
    """A name, what is done, the exit code, and what must be among the words said."""

    name: str
    prepare: Callable[[Path], list[Path]]
    code: int
    words: Callable[[list[Path]], list[str]] = field(default=lambda _: [])
    after: int | None = None  # number of the last release that the site received
    sheet: bool = False  # give the fingerprint of the usual root


def _changed(change: Callable[[Path], object]) -> Callable[[Path], list[Path]]:
    def prepare(folder: Path) -> list[Path]:
        change(folder)
        return [folder]

    return prepare


def _names(*places: int) -> Callable[[list[Path]], list[str]]:
    """Return a check that the chunks at these places of the size order are named."""
    wanted = sorted(Manifest.parse(_MANIFEST).chunks().items(), key=lambda e: (-e[1], e[0]))
    return lambda _: [wanted[place][0] for place in places]


def interrupt(folder: Path) -> None:
    """Leave what a copy leaves when the stick is pulled out: some chunks, one cut short."""
    first, second, *rest = chunk_files(folder)
    first.write_bytes(first.read_bytes()[:100])
    second.write_bytes(b"")
    rest[-1].unlink()


def swap(folder: Path) -> None:
    """Exchange two chunks of one size."""
    one, two = chunk_files(folder)[:2]
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def pipe(folder: Path) -> None:
    """Put a pipe where a chunk was: reading it would never end."""
    chunk = chunk_files(folder)[0]
    chunk.unlink()
    os.mkfifo(chunk)


def link(folder: Path) -> None:
    """Put a link where a chunk was."""
    chunk = chunk_files(folder)[0]
    chunk.rename(folder.parent / "elsewhere")
    chunk.symlink_to(folder.parent / "elsewhere")


def cut(path: Path) -> None:
    """Remove the last bytes of a file."""
    path.write_bytes(path.read_bytes()[:-20])


def spread(folder: Path, count: int = 2) -> list[Path]:
    """Return the folders of the same bundle on several media."""
    media = open_media([folder])
    sizes = Manifest.parse(media.manifest).chunks()
    files = [p for p in folder.rglob("*") if p.is_file() and "chunks" not in p.parts]
    small = sum(p.stat().st_size for p in files)
    room = small + pack.SLACK + 80 * len(sizes) + sum(sizes.values()) * 6 // 10
    places = [(folder.parent / f"medium-{n}" / "casemate", room) for n in range(count)]
    pack.spread(media, sizes, places)
    return [place for place, _ in places]


def mixed(folder: Path) -> list[Path]:
    """Return two media of two releases."""
    other = folder.parent / "other"
    build(other, Recipe(seq=8))
    return [folder, other]


def rebuilt(recipe: Recipe) -> Callable[[Path], list[Path]]:
    """Return a case in which the whole bundle is another one."""

    def prepare(folder: Path) -> list[Path]:
        shutil.rmtree(folder)
        build(folder, recipe)
        return [folder]

    return prepare


def _first_medium(folder: Path) -> list[Path]:
    return spread(folder)[:1]


def _renumbered(folder: Path) -> list[Path]:
    """Return media on which a chunk lies elsewhere than medium.json says: still whole."""
    one, two = spread(folder)
    chunk = chunk_files(one)[0]
    target = two / chunk.relative_to(one)
    target.parent.mkdir(parents=True, exist_ok=True)
    chunk.rename(target)
    return [one, two]


def _sample() -> bytes:
    import tempfile  # noqa: PLC0415 - the manifest of the usual bundle, once

    with tempfile.TemporaryDirectory() as folder:
        return build(Path(folder) / "b").to_bytes()


_MANIFEST = _sample()
OTHER_ROOT = make_root(release=OTHER_KEY)

CASES = [
    Case("intact", lambda folder: [folder], 0, sheet=True),
    Case("intact, nobody compared the fingerprint", lambda folder: [folder], 0),
    Case("two media", spread, 0),
    Case("two media in the other order", lambda folder: spread(folder)[::-1], 0),
    Case("a chunk on another medium than planned", _renumbered, 0),
    Case("a second copy of the medium beside it", lambda folder: [folder, folder], 0),
    Case("interrupted copy", _changed(interrupt), 3, _names(0, 1)),
    Case("swapped chunks", _changed(swap), 3, _names(0, 1)),
    Case("flipped byte", _changed(lambda f: flip(chunk_files(f)[3])), 3, _names(3)),
    Case("truncated chunk", _changed(lambda f: cut(chunk_files(f)[0])), 3, _names(0)),
    Case("missing chunk", _changed(lambda f: chunk_files(f)[2].unlink()), 3, _names(2)),
    Case("link for a chunk", _changed(link), 3, _names(0)),
    Case("pipe for a chunk", _changed(pipe), 3, _names(0)),
    Case("absent medium", _first_medium, 3, lambda _: ["2/2", "2"]),
    Case("flipped list", _changed(lambda f: flip(f / "SHA256SUMS")), 3,
         lambda _: ["SHA256SUMS"]),
    Case("flipped small file", _changed(lambda f: flip(f / "bootstrap/pip.whl")), 3,
         lambda _: ["1/1", "bootstrap/pip.whl"]),
    Case("missing small file", _changed(lambda f: (f / "install.sh").unlink()), 3,
         lambda _: ["1/1", "install.sh"]),
    Case("missing list", _changed(lambda f: (f / "SHA256SUMS").unlink()), 3,
         lambda _: ["SHA256SUMS"]),
    Case("missing medium.json", _changed(lambda f: (f / "medium.json").unlink()), 3,
         lambda _: ["medium.json"]),
    Case("flipped manifest", _changed(lambda f: flip(f / "manifest.json", 400)), 4),
    Case("truncated manifest", _changed(lambda f: cut(f / "manifest.json")), 4),
    Case("no signature", _changed(lambda f: (f / "manifest.json.sig").unlink()), 4),
    Case("flipped signature", _changed(lambda f: flip(f / "manifest.json.sig", 150)), 4),
    Case("flipped root", _changed(lambda f: flip(f / "root.json", 100)), 4),
    Case("root without its signatures", _changed(lambda f: (f / "root.json.sig").unlink()), 4),
    Case("signed by a key that is not in the root", rebuilt(Recipe(key=OTHER_KEY)), 4),
    Case("another root", rebuilt(Recipe(key=OTHER_KEY, root=OTHER_ROOT)), 4, sheet=True),
    Case("older release", lambda folder: [folder], 4, lambda _: ["7", "9"], after=9),
    Case("clock behind", rebuilt(Recipe(created=LATER)), 1),
    Case("extra file", _changed(lambda f: (f / "chunks/autorun.inf").write_text("x")), 1,
         lambda _: ["autorun.inf"]),
    Case("extra file with a newline in its name",
         _changed(lambda f: (f / "SHA256SUMS\nx").write_text("x")), 1,
         lambda _: ["SHA256SUMS"]),
    Case("extra link", _changed(lambda f: (f / "way-out").symlink_to("/etc")), 1,
         lambda _: ["way-out"]),
    Case("media of two releases", mixed, 1, lambda _: ["other"]),
]  # fmt: skip

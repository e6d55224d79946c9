"""Real sticks: the bundle of the tests on FAT32 and exFAT, and every damage named there.

The kernel mounts them where it can. Else exFAT is mounted by its driver of FUSE, and FAT32 is
written and read back by mtools (its only driver of FUSE hangs). As root, on loop devices.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from appliance.bundle.commands import app
from appliance.bundle.manifest import CHUNK_BYTES_MAX
from appliance.bundle.reading import FindingsError
from appliance.bundle.store import State, Store
from tests.bundle.bundles import TREE, Recipe, build, chunk_files, flip, make_root, sample
from tests.bundle.damages import CASES, Case
from tests.bundle.sites import bring
from tests.bundle.test_damages import verify_sh
from tests.rehearsal.machine import RehearsalError, call

CASEMATE = Path(__file__).parents[2] / ".venv" / "bin" / "casemate"
MEGABYTE = 1 << 20
KINDS = {"FAT32": ("vfat", "-F 32 -s 1"), "exFAT": ("exfat", "")}


@dataclass
class Stick:
    """One stick: an image, and where it is mounted, if something can mount it."""

    kind: str
    image: Path
    size: int
    driver: str = ""
    _loop: str = field(default="", init=False)

    @property
    def place(self) -> Path:
        return self.image.with_suffix("")

    def make(self) -> None:
        self.place.mkdir(parents=True)
        with self.image.open("wb") as file:
            file.truncate(self.size)
        name, words = KINDS[self.kind]
        call(f"mkfs.{name}", *words.split(), self.image)

    def plug(self) -> None:
        name, _ = KINDS[self.kind]
        words: list[str | Path] = ["mount", "-o", "loop", "-t", name, self.image, self.place]
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            self.driver = "kernel"
        elif name == "vfat":
            self.driver = "mtools"
        else:
            self._loop = call("losetup", "-f", "--show", self.image).strip()
            call("mount.exfat-fuse", self._loop, self.place)
            self.driver = "FUSE"

    def pull(self) -> None:
        """Take it out: what was not written yet is written first, as by « eject »."""
        if self.driver != "mtools":
            call("sync", "-f", self.place)
            call("umount", self.place)
        if self._loop:
            call("losetup", "-d", self._loop)

    def carry(self, folder: Path) -> Path:
        """Bring a folder onto the stick, and return where it is read from.

        Raises:
            RehearsalError: The file system cannot hold it.
        """
        target = self.place / folder.name
        if self.driver == "mtools":
            call("mcopy", "-s", "-i", self.image, folder, "::")
            call("mcopy", "-s", "-i", self.image, f"::{folder.name}", target)
        else:
            call("cp", "-rP", folder, target)
        return target

    def clear(self) -> None:
        """Empty it."""
        for path in self.place.iterdir():
            if self.driver == "mtools":
                call("mdeltree", "-i", self.image, f"::{path.name}")
            shutil.rmtree(path)


@contextmanager
def sticks(folder: Path, *kinds: str, size: int = 64 * MEGABYTE) -> Iterator[list[Stick]]:
    """Lend sticks that are plugged in."""
    made = [Stick(kind, folder / f"{n}-{kind}.img", size) for n, kind in enumerate(kinds)]
    plugged: list[Stick] = []
    try:
        for stick in made:
            stick.make()
            stick.plug()
            plugged.append(stick)
        yield made
    finally:
        for stick in plugged:
            stick.pull()
            shutil.rmtree(stick.place)
            stick.image.unlink()


def expect(*, seen: object, wanted: object, what: str) -> None:
    if seen != wanted:
        raise RehearsalError(f"{what}: {seen!r}, not {wanted!r}")


def by_casemate(folders: list[Path], site: Path, case: Case) -> tuple[int, str]:
    site.mkdir()
    if case.after is not None:
        Store(site).write_state(State(root=make_root(), last=(case.after, "0" * 64)))
    words = ["verify", *map(str, folders), "--root", str(site)]
    words += ["--fingerprint", make_root().fingerprint()] if case.sheet else []
    done = CliRunner().invoke(app, words)
    shutil.rmtree(site)
    return done.exit_code, done.output


def by_shell(folders: list[Path], case: Case) -> tuple[int, str]:
    words = ["-r", make_root().fingerprint()] if case.sheet else []
    words += ["-n", str(case.after)] if case.after else []
    done = verify_sh(folders[0], *words, *map(str, folders[1:]))
    return done.returncode, done.stdout + done.stderr


def cannot_be(folder: Path) -> bool:
    """Tell whether a folder holds what no such file system has: a link, a pipe, a line end."""
    return any(
        path.is_symlink() or not (path.is_file() or path.is_dir()) or "\n" in path.name
        for path in folder.rglob("*")
    )


def damages(stick: Stick, intact: Path, folder: Path) -> dict[str, Any]:
    """Bring each damage of the table on the stick; both verifiers must name it alike."""
    named, cannot = 0, list[str]()
    for case in CASES:
        home = folder / "case"
        shutil.rmtree(home, ignore_errors=True)
        prepared = case.prepare(Path(shutil.copytree(intact, home / "casemate")))
        if any(cannot_be(each) for each in prepared):
            cannot.append(case.name)
            continue
        homes = {path.parent for path in prepared}
        carried = {each: stick.carry(each) for each in homes}
        folders = [carried[path.parent] / path.name for path in prepared]
        shutil.rmtree(home)
        for code, said in (
            by_casemate(folders, folder / "site", case), by_shell(folders, case)
        ):  # fmt: skip
            expect(seen=code, wanted=case.code, what=f"{stick.kind}, {case.name}: {said}")
            lacking = [word for word in case.words(folders) if word not in said]
            expect(seen=lacking, wanted=[], what=f"{stick.kind}, {case.name}: {said}")
        stick.clear()
        named += 1
    return {"driver": stick.driver, "named alike by both": named, "cannot be there": cannot}


def resumed(stick: Stick, intact: Path, folder: Path) -> dict[str, Any]:
    """Copy, be cut, find a bad chunk, bring it again: only that one is read."""
    there = stick.place / "casemate"
    words: list[str | Path] = [CASEMATE, "bundle", "spread", intact, "--to", there]
    cut = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    while not list(there.glob("chunks/*/*")):
        time.sleep(0.001)
    cut.send_signal(signal.SIGKILL)
    cut.wait()
    done = CliRunner().invoke(app, ["verify", str(there), "--root", str(folder / "none")])
    expect(seen=done.exit_code, wanted=3, what=f"a copy that was cut: {done.output}")
    call(*words)
    bad = chunk_files(there)[0]
    good, size = bad.read_bytes(), bad.stat().st_size
    flip(bad)
    site = folder / "site"
    site.mkdir()
    try:
        bring(site, there)
    except FindingsError as exc:
        named = [finding.path for finding in exc.findings]
        expect(seen=[Path(n).name for n in named], wanted=[bad.name], what="the bad chunk")
    bad.write_bytes(good)
    copied = bring(site, there).copied
    expect(seen=copied, wanted=size, what="bytes read again")
    expect(seen=bring(site, there).copied, wanted=0, what="bytes read a third time")
    for path, data in TREE.items():
        expect(seen=(site / "releases/7" / path).read_bytes(), wanted=data, what=path)
    shutil.rmtree(site)
    shutil.rmtree(there)
    return {"after a cut copy": done.output.strip().splitlines()[0], "read again": copied}


def both(found: list[Stick], intact: Path, folder: Path) -> dict[str, Any]:
    """Spread over two sticks of two kinds, each too small; import from both."""
    places = [stick.place / "casemate" for stick in found]
    words = ["bundle", "spread", str(intact), *(w for p in places for w in ("--to", str(p)))]
    said = json.loads(call(CASEMATE, *words, "--json"))
    expect(seen=min(said["chunks"]) > 0, wanted=True, what=f"both carry some: {said}")
    site = folder / "site"
    site.mkdir()
    done = bring(site, *places)
    shutil.rmtree(site)
    alone = subprocess.run(
        [CASEMATE, "bundle", "spread", intact, "--to", found[0].place / "alone"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    expect(seen=alone.returncode, wanted=1, what=f"one stick alone: {alone.stderr}")
    written = (found[0].place / "alone").exists()
    expect(seen=written, wanted=False, what="something was written")
    return {"chunks": said["chunks"], "read": done.copied, "one alone": alone.stderr.strip()}


def prove(folder: Path) -> dict[str, Any]:
    """Show all of it; `folder` is made empty and removed."""
    intact, large = folder / "casemate", folder / "large"
    build(intact)
    weights = {"models/tiny/big.safetensors": sample("big", 60 * MEGABYTE)}
    build(large, Recipe(tree={**TREE, **weights}, chunk=4 * MEGABYTE))
    report: dict[str, Any] = {}
    with sticks(folder, *KINDS) as found:
        for stick in found:
            print(f"▸ {stick.kind}", flush=True)
            report[stick.kind] = damages(stick, intact, folder)
            if stick.driver != "mtools":
                report[stick.kind] |= resumed(stick, large, folder)
    with sticks(folder, "exFAT", "exFAT", size=44 * MEGABYTE) as found:
        report["two sticks"] = both(found, large, folder)
    expect(seen=CHUNK_BYTES_MAX < 1 << 32, wanted=True, what="FAT32 ends at 4 GiB")
    return report


def main() -> int:
    if os.geteuid():
        print("casemate : en superutilisateur.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        print(json.dumps(prove(Path(folder)), indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())

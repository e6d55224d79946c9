"""A small bundle with the real installer: the controller's wheels, ours, stand-in playbooks.

Its release number and its date are chosen, so that the machine's clock is early or late.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from appliance.bundle.build import outside
from appliance.bundle.compose import Bundle, Heading, sealed_by
from appliance.bundle.fetch import Cache, fetch_wheels
from appliance.bundle.plan import Plan, wheel_parts
from appliance.bundle.release_tree import Tree, add_folder, add_locks, add_own_wheel
from appliance.bundle.sources import export
from appliance.bundle.wheels import read_lock
from tests.rehearsal.bundle import CACHE, ROOT, fingerprint, make_trust

STANDIN = Path(__file__).with_name("standin")
BORROWED = ("ansible.cfg", "plugins", "inventories")  # of the real playbooks


def nobody(_name: str, _size: int) -> None:
    """Tell nobody."""


@dataclass
class Small:
    """Small bundles of one commit, below a folder."""

    folder: Path

    def prepare(self) -> str:
        """Lay out what they share, and return the fingerprint of their root of trust."""
        self._sources = export(ROOT, self.folder / "sources").folder
        played = self.folder / "playbooks"
        shutil.copytree(STANDIN, played, ignore=shutil.ignore_patterns("__pycache__"))
        for name in BORROWED:
            source = self._sources / "playbooks" / name
            if source.is_dir():
                shutil.copytree(source, played / name)
            else:
                shutil.copyfile(source, played / name)
        lock = ROOT / "offline-wheels" / "site" / "controller.lock"
        self._wheels = read_lock(lock.read_text("utf-8"), lock.name)
        cache = Cache(CACHE)
        fetch_wheels(cache, self._wheels, nobody)
        self._tree = Tree(self.folder / "tree")
        self._tree.folder.mkdir()
        parts = wheel_parts({"controller": self._wheels})
        self._tree.lay(Plan("cpu", tuple(parts)), cache, nobody)
        own = add_own_wheel(self._tree, self._sources)
        self._small = outside(self._tree, self._sources, [*self._wheels, own])
        add_locks(self._tree, {"controller": self._wheels}, "1.0.0")
        add_folder(self._tree, played, "playbooks", "1.0.0")
        self._key, self._root = make_trust(self.folder / "trust")
        return fingerprint(self.folder / "trust")

    def make(self, name: str, seq: int, created: int) -> Path:
        """Write one bundle, and return its folder."""
        made = self.folder / name / "casemate"
        heading = Heading(f"1.{seq}.0", seq, created, "cpu")
        by = sealed_by(self._root, [self._key])
        Bundle(made, self._small).write(self._tree, heading, by, nobody)
        return made

"""A build engineer's machine in small: a repository with every lock, and a full cache."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appliance.bundle import binaries, debs, models, pack, wheels
from appliance.bundle.build import INSTALLER, Work
from appliance.bundle.fetch import Cache
from appliance.bundle.model_folder import Declared, lock_folder
from appliance.bundle.sources import ASSETS
from tests.bundle.bundles import RELEASE_KEY, ROOT_KEYS, make_root, sample
from tests.bundle.payloads import (
    Package,
    digest,
    model_folder,
    safetensors,
    store,
    wheel,
    wheel_lock,
)

CREATED = 1_795_000_000
WHEELS = {
    "controller": ["pip", "ansible_core"],
    "appliance": ["one", "shared"],
    "vllm": ["two", "shared"],
    "vllm-gpu": ["three"],
}
PACKAGES = [Package("one", "2:1.0-1", "two"), Package("two")]
KEYCLOAK = sample("keycloak", 20_000)
WEIGHTS = safetensors(sample("weights", 300_000))
PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "appliance"
version = "0.1.0"
license = "MIT"
[tool.setuptools.packages.find]
include = ["appliance*"]
[tool.setuptools.package-data]
"*" = ["*.json"]
"""


def commit(repository: Path, when: int) -> None:
    """Commit everything in a repository of git, made when it is none."""
    names = [f"{each}_{what}" for each in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    environment = {
        **os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{name}": "nobody" for name in names},
        "GIT_AUTHOR_DATE": f"{when} +0000", "GIT_COMMITTER_DATE": f"{when} +0000",
    }  # fmt: skip
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A change"]):
        subprocess.run(["git", "-C", repository, *words], check=True, env=environment)


@dataclass(frozen=True)
class Workplace:
    """Everything under one folder."""

    top: Path

    @property
    def repository(self) -> Path:
        return self.top / "repository"

    @property
    def cache(self) -> Cache:
        return Cache(self.top / "cache")

    @property
    def work(self) -> Work:
        return Work(self.repository, self.cache.folder, {"tiny": self.top / "tiny"})

    @property
    def root(self) -> Path:
        return self.top / "keys" / "root.json"

    @property
    def key(self) -> Path:
        return self.top / "keys" / "release"

    def make(self) -> "Workplace":
        self._lock()
        self._sources()
        commit(self.repository, CREATED)
        self.root.parent.mkdir()
        root = make_root()
        self.root.write_bytes(root.to_bytes())
        for number, signature in enumerate(pack.sign_root(root, ROOT_KEYS[:2]), 1):
            (self.root.parent / f"root.json.sig.{number}").write_bytes(signature)
        private = RELEASE_KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        self.key.write_bytes(private)
        return self

    def _lock(self) -> None:
        site = self.repository / "offline-wheels" / "site"
        site.mkdir(parents=True)
        for name, names in WHEELS.items():
            made = {each: wheel(each) for each in names}
            locks = [wheel_lock(each, data) for each, data in made.items()]
            (site / f"{name}.lock").write_text(wheels.write_lock(locks))
            for data in made.values():
                store(self.cache, data)
        (site / "debs.lock").write_text(debs.write_lock(p.lock for p in PACKAGES))
        for package in PACKAGES:
            store(self.cache, package.data)
        program = binaries.Binary(
            "keycloak", "26.0", "org.example:keycloak:26.0:tar.gz", "keycloak.tar.gz",
            len(KEYCLOAK), digest(KEYCLOAK),
        )  # fmt: skip
        (site.parent / "binaries.lock").write_text(binaries.write_lock([program]))
        store(self.cache, KEYCLOAK)
        folder = model_folder(self.top / "tiny", WEIGHTS)
        lock = lock_folder(folder, Declared("tiny", "rev1", "MIT"))
        (self.repository / "models").mkdir()
        (self.repository / "models" / "tiny.lock.json").write_bytes(models.encode(lock))

    def _sources(self) -> None:
        texts = {
            "pyproject.toml": PROJECT, "appliance/__init__.py": "NAME = 'small'\n",
            INSTALLER: "#!/bin/sh\n", "playbooks/site.yml": "---\n",
            "playbooks/lint/__pycache__/x.pyc": "", ".gitignore": f"{ASSETS}/\nbuild/\n",
            f"{ASSETS}/icons.json": "{}\n", f"{ASSETS}/.built": "stamp\n",
        }  # fmt: skip
        for path, text in texts.items():
            place = self.repository / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

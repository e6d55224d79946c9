"""Asks the build machine's apt for Debian 13: which debs a site needs, and their bytes.

A private root: nothing of the machine's own packages is read or changed. The closure is taken
against an empty dpkg status, so that it does not depend on what a site has already. Where
packages come from is the machine's own configuration with the release's name replaced; it is
read at run time and written nowhere. apt checks signatures and hashes of what it fetches.
"""

import os
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.bundle.debs import Deb
from appliance.bundle.refusal import BundleError

SUITE = "trixie"
MACHINE = Path("/etc/apt")
_URI = re.compile(
    r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})"
)
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+")


class AptError(BundleError):
    """The build machine's apt cannot say or fetch what is asked. The message is apt's."""

    def __init__(self, french: str, english: str) -> None:
        super().__init__("CM-INS-30", french, english)


@dataclass(frozen=True, slots=True)
class Source:
    """One place that apt reads, as a deb822 stanza has it."""

    uris: str
    suites: tuple[str, ...]
    signed_by: str

    def stanza(self) -> str:
        """Return it in deb822."""
        lines = ["Types: deb", f"URIs: {self.uris}", f"Suites: {' '.join(self.suites)}"]
        return "\n".join([*lines, "Components: main", f"Signed-By: {self.signed_by}", ""])


def own_codename(os_release: str) -> str:
    """Return the code name of the machine, from the text of `/etc/os-release`."""
    found = re.search(r'^VERSION_CODENAME="?([a-z]+)', os_release, re.MULTILINE)
    return found[1] if found else SUITE


def _fields(stanza: str) -> dict[str, str]:
    kept = "\n".join(line for line in stanza.splitlines() if not line.startswith("#"))
    pairs = re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", kept, re.MULTILINE)
    return {name.lower(): value.strip() for name, value in pairs}


def translated(text: str, codename: str, *, deb822: bool) -> list[Source]:
    """Return a file's sources for the machine's release, renamed for the target's."""
    found: list[Source] = []
    if deb822:
        for fields in map(_fields, re.split(r"\n\s*\n", text)):
            suites = fields.get("suites", "").split()
            found.append(
                _renamed(fields.get("uris", ""), suites, fields.get("signed-by"), codename)
            )
    else:
        for match in map(_ONE_LINE.match, text.splitlines()):
            if match:
                options = re.search(r"signed-by=(\S+)", match["options"] or "")
                key = options[1] if options else None
                found.append(_renamed(match["uri"], [match["suite"]], key, codename))
    return [source for source in found if source.suites]


def _renamed(uris: str, suites: Sequence[str], key: str | None, codename: str) -> Source:
    """Keep the suites named for the release (`bookworm`, `bookworm-security`, …)."""
    kept = [s for s in suites if re.fullmatch(rf"{codename}(-updates|-security|/updates)?", s)]
    renamed = tuple(SUITE + s.removeprefix(codename) for s in kept)
    return Source(uris, renamed, key or "/usr/share/keyrings/debian-archive-keyring.gpg")


def machine_sources(folder: Path = MACHINE) -> list[Source]:
    """Return the machine's Debian sources, for the target's release.

    Raises:
        AptError: The machine has none.
    """
    codename = own_codename(Path("/etc/os-release").read_text("utf-8"))
    found: list[Source] = []
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if path.suffix in {".list", ".sources"} and path.is_file():
            text = path.read_text("utf-8", errors="replace")
            found += translated(text, codename, deb822=path.suffix == ".sources")
    if not found:
        raise AptError("aucune source Debian dans apt.", "apt has no Debian source.")
    return found


def mirror(folder: Path = MACHINE) -> str:
    """Return where the machine's apt finds the target's release, for debootstrap; else nothing.

    Args:
        folder: Of apt's configuration.
    """
    try:
        sources = machine_sources(folder)
    except AptError:
        return ""
    uris = [uri for one in sources if SUITE in one.suites for uri in one.uris.split()]
    return next((uri for uri in uris if uri.startswith(("http://", "https://", "file:"))), "")


@dataclass(frozen=True, slots=True)
class AptRoot:
    """A private root of apt. `extra` holds deb822 files of further signed sources."""

    folder: Path
    extra: tuple[Path, ...] = ()
    machine: Path = MACHINE  # whose sources are read

    def make(self) -> None:
        """Write the configuration; the lists are kept between runs."""
        for name in ("lists/partial", "cache/archives/partial", "etc/preferences.d", "state"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        sources = self.folder / "etc" / "sources.list.d"
        sources.mkdir(exist_ok=True)
        for old in sources.glob("*.sources"):
            old.unlink()
        stanzas = "\n".join(source.stanza() for source in machine_sources(self.machine))
        (sources / "debian.sources").write_text(stanzas)
        for path in self.extra:
            (sources / f"extra-{path.stem}.sources").write_bytes(path.read_bytes())

    def update(self) -> None:
        """Read the indexes."""
        self._run("update", "-q")

    def closure(self, names: Iterable[str]) -> list[Deb]:
        """Return what installing the packages on nothing at all takes, by name."""
        done = self._run("install", "-y", "--print-uris", *names)
        lines = [match for match in map(_URI.match, done.splitlines()) if match]
        found = [_deb(match["file"], int(match["size"]), match["sha256"]) for match in lines]
        if not found:
            raise AptError("apt ne cite aucun paquet.", "apt lists no package.")
        return sorted(found, key=lambda deb: deb.name)

    def download(self, debs: Iterable[Deb], folder: Path) -> None:
        """Fetch packages into a folder, under the names of their lock."""
        self._run("download", *(f"{deb.name}={deb.version}" for deb in debs), cwd=folder)
        for path in folder.glob("*.deb"):
            path.rename(folder / without_epoch(path.name))

    def _run(self, *words: str, cwd: Path | None = None) -> str:
        options = {
            "Dir::State::Lists": self.folder / "lists", "Dir::Cache": self.folder / "cache",
            "Dir::Etc": self.folder / "etc", "Dir::State": self.folder / "state",
            "Dir::State::status": "/dev/null", "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self.folder / "etc" / "sources.list.d",
            "APT::Architecture": "amd64", "APT::Architectures": "amd64",
            "APT::Install-Recommends": "false", "Acquire::ForceHash": "SHA256",
            "Acquire::Retries": "3", "Acquire::Languages": "none", "APT::Sandbox::User": "root",
            "Debug::NoLocking": "true",
        }  # fmt: skip
        flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        try:
            done = subprocess.run(  # noqa: S603 - no shell
                [shutil.which("apt-get") or "apt-get", *flags, *words], cwd=cwd,
                capture_output=True, text=True, check=False,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
        except FileNotFoundError as exc:
            raise AptError(
                "apt-get manque : bâtir sous Debian.", "apt-get is missing."
            ) from exc
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()[-600:]  # what lacks is on stdout
            raise AptError(f"apt-get {words[0]} : {said}", f"apt-get {words[0]} failed.")
        return done.stdout


def _deb(file: str, size: int, sha256: str) -> Deb:
    """Name a package from what apt calls its file, such as `libx_1%3a2.0-1_amd64.deb`."""
    name, version, _ = file.removesuffix(".deb").split("_")
    return Deb(name, urllib.parse.unquote(version), without_epoch(file), size, sha256)


def without_epoch(file: str) -> str:
    """Return the name that Debian's archive gives to the file: a colon has no place in it."""
    return re.sub(r"_[0-9]+%3a", "_", file)

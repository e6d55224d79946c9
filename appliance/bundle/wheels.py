"""Wheels of a site: three closed sets, each with a lock that pip itself enforces.

A lock is a requirements file for pip's `--require-hashes`: one line per wheel, with the hash of
the one file that is shipped and, as a comment, its name and size, so that the size of a bundle
is known before the first byte. It never holds an address. `make site-locks` writes it from
uv's PEP 751 file, which lists the wheels that Debian 13 and Python 3.13 can install.
"""

import re
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import IO

from appliance.errors import FormatError

SETS = ("controller", "appliance", "vllm")
PYTHON = 313
HEADER = (
    "# Wheels for Debian 13, Python 3.13, x86-64: one line each, then its file and its bytes.\n"
)
_LINE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;]+)"
    r" --hash=sha256:(?P<sha256>[0-9a-f]{64})"
    r"  # (?P<file>[A-Za-z0-9][^\s/]*\.whl) (?P<size>[0-9]+)\Z"
)
_GLIBC = re.compile(r"manylinux_2_([0-9]+)_x86_64|manylinux(1|2010|2014)_x86_64")
_OLD_NAMES = {"1": 5, "2010": 12, "2014": 17}  # minor version of glibc 2


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel of a lock."""

    name: str  # normalised
    version: str
    file: str
    size: int  # bytes
    sha256: str

    @property
    def line(self) -> str:
        """Return its line in a lock, without the newline."""
        pinned = f"{self.name}=={self.version} --hash=sha256:{self.sha256}"
        return f"{pinned}  # {self.file} {self.size}"


def normalised(name: str) -> str:
    """Return the name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def write_lock(wheels: Iterable[Wheel]) -> str:
    """Return the text of a lock, by name."""
    return HEADER + "".join(f"{w.line}\n" for w in sorted(wheels, key=lambda w: w.name))


def read_lock(text: str, name: str) -> list[Wheel]:
    """Return the wheels of a lock. `name` is for messages.

    Raises:
        FormatError: A line is not one of a lock.
    """
    found: list[Wheel] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise FormatError(
                f"{name}, line {number}: not a wheel with its hash, file and size"
            )
        size = int(match["size"])
        found.append(
            Wheel(match["name"], match["version"], match["file"], size, match["sha256"])
        )
    return found


def chosen(pylock: str) -> list[Wheel]:
    """Return the one wheel that pip would take of each package of a PEP 751 file.

    Raises:
        FormatError: A package has no wheel for the target, or has it from outside an index.
    """
    found: list[Wheel] = []
    for package in tomllib.loads(pylock)["packages"]:
        ranked = [(rank, w) for w in package.get("wheels", []) if (rank := _rank(_file(w)))]
        if not ranked:
            raise FormatError(f"{package['name']}: no wheel for Debian 13 and Python 3.13")
        _, best = max(ranked, key=lambda pair: pair[0])
        name, version = normalised(package["name"]), package["version"]
        digest = best["hashes"]["sha256"]
        found.append(Wheel(name, version, _file(best), best["size"], digest))
    return found


def _file(wheel: dict[str, str]) -> str:
    return wheel["url"].rpartition("/")[2].replace("%2B", "+")


def _rank(file: str) -> tuple[int, int] | None:
    """Say how well a wheel fits the target, None when it does not. pip prefers alike."""
    interpreters, abis, platforms = file.removesuffix(".whl").split("-")[-3:]
    python = max((_interpreter(i, abis.split(".")) for i in interpreters.split(".")), default=0)
    glibc = max(map(_platform, platforms.split(".")))
    return (python, glibc) if python and glibc >= 0 else None


def _interpreter(tag: str, abis: list[str]) -> int:
    """Return 1000 for the target's own ABI, 300 and more for the stable one, 1 for none."""
    if tag == f"cp{PYTHON}" and {f"cp{PYTHON}", "none"} & set(abis):
        return 1000
    if "abi3" in abis and (found := re.fullmatch(r"cp3([0-9]+)", tag)):
        minor = int(found[1])
        return 300 + minor if minor <= PYTHON - 300 else 0
    pure = re.fullmatch(r"py3([0-9]*)", tag)
    return 1 if pure and "none" in abis and int(pure[1] or 0) <= PYTHON - 300 else 0


def _platform(tag: str) -> int:
    if tag == "any":
        return 0
    found = _GLIBC.fullmatch(tag)
    if found is None:
        return -1
    return int(found[1]) if found[1] else _OLD_NAMES[found[2]]


def licence_of(wheel: IO[bytes]) -> str:
    """Return what a wheel declares as its licence, `""` when it says nothing.

    Raises:
        FormatError: It is not a wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            (path,) = (
                n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)
            )
            text = archive.read(path).decode("utf-8", "replace")
    except (zipfile.BadZipFile, ValueError) as exc:
        raise FormatError("not a wheel") from exc
    return licence_in(text)


def licence_in(metadata: str) -> str:
    """Return the licence of core metadata: its expression, else classifiers, else name."""
    headers = HeaderParser().parsestr(metadata)
    if expression := headers.get("License-Expression"):
        return str(expression)
    classifiers = [str(c) for c in headers.get_all("Classifier", [])]
    named = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: ")]
    if named:
        return ", ".join(sorted(set(named)))
    first = str(headers.get("License", "")).strip().partition("\n")[0]
    return first[:80]

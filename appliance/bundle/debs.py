"""Debian packages of a site: their lock, what a package says of itself, a repository of them.

The repository is flat (`Packages`, `Release`, `InRelease` beside the files), as apt reads with
`Suites: ./`. Its index is written here and not by a tool: same packages, same bytes. There is
no `Valid-Until`: on a site without internet an expiry would only stop repairs. Formats: Debian
policy 5, deb(5), the repository format of Debian's wiki.
"""

import hashlib
import io
import lzma
import re
import tarfile
import tomllib
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from appliance.bundle.paths import check_digest
from appliance.errors import FormatError

HEADER = """\
# Debian packages of a site: closure of debs.in against an empty dpkg status, Debian 13 amd64.
# Written by `make site-locks`. Where they come from is the build machine's configuration.
"""
_AR = b"!<arch>\n"
_FILE = re.compile(r"[a-z0-9][a-z0-9+.-]+_[A-Za-z0-9.+~%-]+_(amd64|all)\.deb\Z")
_OPENERS: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.decompress,
    ".gz": lambda b: zlib.decompress(b, 31),
    "": lambda b: b,
}


@dataclass(frozen=True, slots=True)
class Deb:
    """One package of the lock."""

    name: str
    version: str  # with its epoch
    file: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Described:
    """What a package says of itself."""

    control: str  # its paragraph, without a final newline
    licence: str  # short names of its copyright file, "" when it says none by machine

    @property
    def fields(self) -> dict[str, str]:
        """Return the fields of the paragraph."""
        return fields(self.control)


def names_of(text: str) -> list[str]:
    """Return the packages that a `debs.in` lists: one a line, `#` starts a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def read_lock(text: str) -> list[Deb]:
    """Return the packages of a lock.

    Raises:
        FormatError: It is not such a lock, or a package is not named, sized and hashed well.
    """
    try:
        found = [Deb(**entry) for entry in tomllib.loads(text)["deb"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as exc:
        raise FormatError("debs.lock: not a lock of packages") from exc
    for deb in found:
        check_digest(deb.sha256)
        if not _FILE.match(deb.file) or type(deb.size) is not int or deb.size < 1:
            raise FormatError(f"debs.lock: not a package: {deb.file!r}, {deb.size!r} bytes")
    return found


def write_lock(debs: Iterable[Deb]) -> str:
    """Return the text of a lock, by name."""
    entries = [
        f'\n[[deb]]\nname = "{d.name}"\nversion = "{d.version}"\nfile = "{d.file}"\n'
        f'size = {d.size}\nsha256 = "{d.sha256}"\n'
        for d in sorted(debs, key=lambda deb: deb.name)
    ]
    return HEADER + "".join(entries)


def fields(paragraph: str) -> dict[str, str]:
    """Return the fields of one paragraph of control data."""
    found = re.findall(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", paragraph, re.MULTILINE)
    return {name: value.strip() for name, value in found}


def members(data: bytes) -> dict[str, bytes]:
    """Return the members of an `ar` archive, which a package is.

    Raises:
        FormatError: It is not one.
    """
    if not data.startswith(_AR):
        raise FormatError("not a Debian package")
    found: dict[str, bytes] = {}
    at = len(_AR)
    while at + 60 <= len(data):
        name, size = data[at : at + 16], data[at + 48 : at + 58]
        if not size.strip().isdigit():
            raise FormatError("a damaged Debian package")
        end = at + 60 + int(size)
        found[name.decode("ascii", "replace").strip().rstrip("/")] = data[at + 60 : end]
        at = end + end % 2
    return found


def _tar(archive: Mapping[str, bytes], stem: str) -> tarfile.TarFile:
    for suffix, opened in _OPENERS.items():
        if f"{stem}.tar{suffix}" in archive:
            try:
                return tarfile.open(fileobj=io.BytesIO(opened(archive[f"{stem}.tar{suffix}"])))
            except (lzma.LZMAError, zlib.error, tarfile.TarError) as exc:
                raise FormatError(f"a damaged Debian package: {stem}") from exc
    raise FormatError(f"a Debian package without {stem}.tar that can be read")


def _member(tar: tarfile.TarFile, path: str) -> str | None:
    for name in (f"./{path}", path):
        try:
            file = tar.extractfile(name)
        except KeyError:
            continue
        return file.read().decode("utf-8", "replace") if file else None
    return None


def describe(data: bytes) -> Described:
    """Return what a package says of itself.

    Raises:
        FormatError: It is not a Debian package.
    """
    archive = members(data)
    control = _member(_tar(archive, "control"), "control")
    if control is None:
        raise FormatError("a Debian package without its control file")
    control = control.strip()
    name = fields(control).get("Package", "")
    copyright_file = _member(_tar(archive, "data"), f"usr/share/doc/{name}/copyright") or ""
    return Described(control, licences_of(copyright_file))


def contents(data: bytes) -> tarfile.TarFile:
    """Return what a package installs, as an open archive.

    Raises:
        FormatError: It is not a Debian package.
    """
    return _tar(members(data), "data")


def licences_of(copyright_file: str) -> str:
    """Return the short names of a machine-readable copyright file, `""` when it is another."""
    if not copyright_file.startswith("Format:"):
        return ""
    found = re.findall(r"^License:[ \t]*(\S.*)$", copyright_file, re.MULTILINE)
    return ", ".join(sorted({name.strip() for name in found}))


def packages(entries: Iterable[tuple[Deb, Described]]) -> str:
    """Return the text of `Packages`, by name."""
    stanzas = []
    for deb, described in sorted(entries, key=lambda entry: entry[0].name):
        lines = [described.control, f"Filename: ./{deb.file}", f"Size: {deb.size}"]
        stanzas.append("\n".join([*lines, f"SHA256: {deb.sha256}", ""]))
    return "\n".join(stanzas)


def release(index: str, version: str, created: int) -> str:
    """Return the text of `Release`. `created` is in seconds since 1970."""
    data = index.encode()
    date = format_datetime(datetime.fromtimestamp(created, UTC)).replace("+0000", "UTC")
    return (
        f"Origin: Casemate\nLabel: Casemate\nSuite: stable\nCodename: casemate\n"
        f"Version: {version}\nDate: {date}\nArchitectures: amd64\nComponents: main\n"
        f"Description: Packages of a Casemate bundle\nSHA256:\n"
        f" {hashlib.sha256(data).hexdigest()} {len(data)} Packages\n"
    )

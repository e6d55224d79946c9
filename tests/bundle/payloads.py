"""Small payloads as publishers make them: a Debian package, a wheel, a model, their locks."""

import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.bundle.debs import Deb
from appliance.bundle.fetch import Cache
from appliance.bundle.wheels import Wheel

PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.compress, ".gz": lambda data: gzip.compress(data, mtime=0),
    "": lambda data: data,
}  # fmt: skip
MIT = (
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
    "Files: *\nCopyright: 2026 Nobody\nLicense: MIT\n Text.\n"
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def store(cache: Cache, data: bytes) -> None:
    """Put a payload into the cache, as a fetch does."""
    place = cache.path(digest(data))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


def ar(members: Mapping[str, bytes]) -> bytes:
    """Return an archive of `ar`, as deb(5) describes it."""
    made = b"!<arch>\n"
    for name, data in members.items():
        made += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        made += data + b"\n" * (len(data) % 2)
    return made


def tar(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


@dataclass(frozen=True)
class Package:
    """A Debian package."""

    name: str = "one"
    version: str = "1.0-1"
    depends: str = ""
    copyright_file: str = MIT
    packed: str = ".xz"

    @property
    def control(self) -> str:
        depends = f"Depends: {self.depends}\n" if self.depends else ""
        return (
            f"Package: {self.name}\nVersion: {self.version}\nArchitecture: amd64\n"
            f"Maintainer: Nobody <nobody@example.org>\n{depends}"
            f"Description: a package\n A second line.\n"
        )

    @property
    def data(self) -> bytes:
        pack = PACKED[self.packed]
        document = f"./usr/share/doc/{self.name}/copyright"
        return ar({
            "debian-binary": b"2.0\n",
            f"control.tar{self.packed}": pack(tar({"./control": self.control})),
            f"data.tar{self.packed}": pack(tar({document: self.copyright_file})),
        })  # fmt: skip

    @property
    def lock(self) -> Deb:
        file = f"{self.name}_{self.version.rpartition(':')[2]}_amd64.deb"
        return Deb(self.name, self.version, file, len(self.data), digest(self.data))


def wheel(
    name: str = "one", more: Mapping[str, bytes] | None = None, licence: str = "MIT"
) -> bytes:
    """Return a wheel, version 1.0, that pip can install."""
    stem = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": b"", **(more or {}),
        f"{stem}/METADATA": (
            f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n"
            f"License-Expression: {licence}\n"
        ).encode(),
        f"{stem}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }  # fmt: skip
    files[f"{stem}/RECORD"] = "".join(f"{path},,\n" for path in files).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return buffer.getvalue()


def wheel_lock(name: str, data: bytes) -> Wheel:
    return Wheel(name, "1.0", f"{name}-1.0-py3-none-any.whl", len(data), digest(data))


def safetensors(body: bytes = bytes(8), header: object | None = None) -> bytes:
    """Return a file of weights: one tensor, `w`, of floats, unless a header is given."""
    shape = [len(body) // 4]
    usual = {"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, len(body)]}}
    text = json.dumps(usual if header is None else header).encode()
    return len(text).to_bytes(8, "little") + text + body


def model_folder(folder: Path, weights: bytes | None = None) -> Path:
    """Make a model's folder."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights or safetensors())
    (folder / "config.json").write_text('{"heads": 4}\n')
    (folder / "LICENSE").write_text("MIT\n")
    return folder

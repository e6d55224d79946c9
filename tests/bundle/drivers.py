"""Folders of a driver and of kernels, small and false, of the true shape."""

import io
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path

VERSION = "580.95.05"
LINUX = "6.12.48+deb13-amd64"
LIBRARY = f"usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-ml.so.{VERSION}"


def module(version: str = VERSION) -> bytes:
    """Return what begins and ends like a module, and states its version."""
    return b"\x7fELF\0license=NVIDIA\0version=" + version.encode() + b"\0vermagic=x\0"


def _tar(contents: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for path, data in contents.items():
            entry = tarfile.TarInfo(f"./{path}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return held.getvalue()


def deb(name: str, version: str, contents: Mapping[str, bytes], depends: str = "") -> bytes:
    """Return a Debian package."""
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
    control += f"Depends: {depends}\n" if depends else ""
    found = b"!<arch>\n"
    for member, data in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", _tar({"control": control.encode()})),
        ("data.tar.gz", _tar(contents)),
    ):
        found += f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        found += data + b"\n" * (len(data) % 2)
    return found


def driver(folder: Path, version: str = VERSION, depends: str = "libc6 (>= 2.36)") -> Path:
    """Write the folder of a driver: its programs, and modules for one kernel."""
    folder.mkdir()
    library = LIBRARY.replace(VERSION, version)
    programs = deb("nvidia-driver-cuda", f"{version}-1", {library: b"l"}, depends)
    (folder / f"nvidia-driver-cuda_{version}-1_amd64.deb").write_bytes(programs)
    path = f"lib/modules/{LINUX}/updates/dkms/nvidia.ko.xz"
    modules = deb("nvidia-modules", f"{version}-1", {path: lzma.compress(module(version))})
    (folder / f"nvidia-modules_{version}-1_amd64.deb").write_bytes(modules)
    return folder


def kernels(folder: Path, version: str) -> Path:
    """Write the folder of kernels of FlashInfer, and a compiled one of Triton."""
    (folder / "cache" / "triton").mkdir(parents=True)
    (folder / "cache" / "triton" / "k.cubin").write_bytes(b"k")
    (folder / f"flashinfer_cubin-{version}-py3-none-any.whl").write_bytes(b"c")
    wheel = f"flashinfer_jit_cache-{version}+cu130-cp39-abi3-manylinux_2_28_x86_64.whl"
    (folder / wheel).write_bytes(b"j")
    return folder

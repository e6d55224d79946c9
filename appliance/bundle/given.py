"""What the build engineer gives as a folder: the GPU driver, precompiled kernels. Pure.

Neither is on an ordinary index. What such a folder holds is the engineer's word; what travels
is what was locked from its files, and no digest is typed in. Debs join the signed repository of
the release, wheels join the environment `vllm`, the rest lies under `binaries/`. Nothing is
compiled on a site: a package that compiles there is refused here.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from appliance.bundle.debs import Deb
from appliance.bundle.paths import check_digest, check_path, check_unique
from appliance.bundle.plan import Payload
from appliance.bundle.refusal import BundleError
from appliance.bundle.wheels import Wheel

SCHEMA: Final = "casemate.given-lock/v1"
DRIVER, KERNELS = "gpu-driver", "gpu-kernels"
SUFFIX = ".lock.json"
DRIVER_OLDEST = 580  # CUDA 13 starts on no older branch
CACHE = "cache/"  # of a folder of kernels: what model servers find compiled
LICENCE_MAX = 200  # characters
_LIBRARY = re.compile(r"usr/lib/.*/libnvidia-ml\.so\.([0-9]+(?:\.[0-9]+){1,2})\Z")
_MODULE = re.compile(r"(?:usr/)?lib/modules/([^/]+)/(?:.*/)?nvidia\.ko(?:\.xz)?\Z")
_PLAIN = re.compile(r"modules/([A-Za-z0-9][A-Za-z0-9.+~_-]*)/nvidia(?:-[a-z]+)?\.ko(?:\.xz)?\Z")
_STATED = re.compile(rb"(?:\A|\x00)version=([0-9]+(?:\.[0-9]+){1,2})\x00")
_COMPILES = re.compile(r"(?:\A|[ ,|])(?:dkms|gcc|make|linux-headers-[^ ,|]*)(?=[ ,|(:]|\Z)")
_FLASHINFER = re.compile(r"flashinfer-(?:cubin|jit-cache)\Z")


class GivenError(BundleError):
    """A folder holds what may not travel, or lacks what must. The message names it."""

    def __init__(self, french: str, english: str) -> None:
        super().__init__("CM-INS-33", french, english)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a folder."""

    path: str  # in the folder
    size: int  # bytes
    sha256: str
    name: str = ""  # of a package, Debian's or Python's; "" for another file
    version: str = ""  # of a package

    @property
    def file(self) -> str:
        """Return its path: messages name it."""
        return self.path

    @property
    def base(self) -> str:
        """Return its name without a folder."""
        return self.path.rpartition("/")[2]


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The lock of a folder."""

    schema: str = SCHEMA
    name: str
    version: str  # of the driver, read from its files; of FlashInfer, else of what kernels hold
    licence: str  # as the engineer declares it
    kernels: list[str]  # of Linux, that the driver's modules were built for
    files: list[Entry]

    def debs(self) -> list[Deb]:
        """Return its Debian packages."""
        return [
            Deb(e.name, e.version, e.base, e.size, e.sha256)
            for e in self.files
            if e.path.endswith(".deb")
        ]

    def wheels(self) -> list[Wheel]:
        """Return its Python packages."""
        return [
            Wheel(e.name, e.version, e.base, e.size, e.sha256)
            for e in self.files
            if e.path.endswith(".whl")
        ]

    def others(self) -> list[Payload]:
        """Return what lies under `binaries/` of the release."""
        folder = f"binaries/{self.name}"
        return [
            Payload(f"{folder}/{e.path}", e.size, e.sha256) for e in self.files if not e.name
        ]


def encode(lock: Given) -> bytes:
    """Return the bytes of a lock."""
    return msgspec.json.format(msgspec.json.encode(lock, order="sorted"), indent=1) + b"\n"


def decode(data: bytes) -> Given:
    """Return the lock that the bytes hold.

    Raises:
        GivenError: It is not one, or a file is not named, sized and hashed well.
        FormatError: A path or a digest that is none.
    """
    try:
        lock = msgspec.json.decode(data, type=Given)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise GivenError("verrou de dossier illisible.", f"no lock of a folder: {exc}") from exc
    if lock.schema != SCHEMA or lock.name not in {DRIVER, KERNELS}:
        raise GivenError(f"pas un verrou {SCHEMA}.", f"not a lock of {SCHEMA}.")
    check_unique([check_path(entry.path) for entry in lock.files])
    for entry in lock.files:
        check_digest(entry.sha256)
        packaged = entry.path.endswith((".deb", ".whl"))
        if entry.size < 1 or packaged != bool(entry.name and entry.version):
            raise GivenError(f"{entry.path} : entrée impossible.", f"{entry.path}: impossible.")
    check_places(lock.name, [entry.path for entry in lock.files])
    return lock


def check_places(name: str, paths: Iterable[str]) -> None:
    """Refuse a file that such a folder has no place for.

    Raises:
        GivenError: It has one; the message names it.
    """
    for path in paths:
        if name == DRIVER and not (path.endswith(".deb") or _PLAIN.match(path)):
            raise GivenError(
                f"{path} : un pilote voyage en .deb, ses modules en modules/NOYAU/nvidia….ko.",
                f"{path}: a driver is .deb files and modules/KERNEL/nvidia….ko.",
            )
        if name == KERNELS and not (path.endswith(".whl") or path.startswith(CACHE)):
            raise GivenError(
                f"{path} : des noyaux voyagent en .whl ou sous {CACHE}.",
                f"{path}: kernels are .whl files, or lie under {CACHE}.",
            )


def kernels_in(paths: Iterable[str]) -> list[str]:
    """Return the kernels of Linux that have the module, from the paths of all files.

    Args:
        paths: Of a folder, or of what its packages install, without a leading `./`.
    """
    found = (_MODULE.match(path) or _PLAIN.match(path) for path in paths)
    return sorted({match[1] for match in found if match and "nvidia.ko" in match[0]})


def driver_version(installed: Iterable[str], stated: Iterable[str]) -> str:
    """Return the version of the driver.

    Args:
        installed: Paths that its packages install: the name of its management library tells.
        stated: What each of its modules says of itself.

    Raises:
        GivenError: There is no library, several versions are mixed, or it is too old.
    """
    libraries = {match[1] for path in installed if (match := _LIBRARY.match(path))}
    if not libraries:
        raise GivenError(
            "aucun .deb n’installe libnvidia-ml : ce n’est pas un pilote.",
            "no .deb installs libnvidia-ml: this is no driver.",
        )
    if len(found := sorted(libraries | set(stated))) > 1:
        raise GivenError(
            f"versions mêlées dans un même pilote : {', '.join(found)}.",
            f"versions mixed in one driver: {', '.join(found)}.",
        )
    if int(found[0].partition(".")[0]) < DRIVER_OLDEST:
        raise GivenError(
            f"pilote {found[0]} : il faut R{DRIVER_OLDEST} ou plus récent.",
            f"driver {found[0]}: R{DRIVER_OLDEST} or newer is needed.",
        )
    return found[0]


def module_version(module: bytes) -> str:
    """Return the version that a module of the driver states in its `.modinfo`.

    Raises:
        GivenError: It states none.
    """
    found = _STATED.search(module)
    if found is None:
        raise GivenError("un module ne dit pas sa version.", "a module states no version.")
    return found[1].decode("ascii")


def check_compiles_nothing(package: str, depends: str) -> None:
    """Refuse a Debian package that would compile on the site.

    Args:
        package: Its name.
        depends: What it depends on, as its control paragraph says.

    Raises:
        GivenError: It would.
    """
    if package.endswith("-dkms") or _COMPILES.search(depends):
        raise GivenError(
            f"{package} compilerait sur le site : donnez des modules déjà compilés.",
            f"{package} would compile on the site: give modules that are compiled.",
        )


def flashinfer_version(wheels: Sequence[Wheel]) -> str:
    """Return the version of FlashInfer whose kernels these are, "" when there are none.

    Raises:
        GivenError: A wheel that holds no kernels of FlashInfer, or two versions.
    """
    for wheel in wheels:
        if not _FLASHINFER.match(wheel.name):
            raise GivenError(
                f"{wheel.name} : pas des noyaux de FlashInfer.",
                f"{wheel.name}: no kernels of FlashInfer.",
            )
    found = sorted({wheel.version.partition("+")[0] for wheel in wheels})
    if len(found) > 1:
        raise GivenError(
            f"noyaux de plusieurs FlashInfer : {', '.join(found)}.",
            f"kernels of several FlashInfer: {', '.join(found)}.",
        )
    return "".join(found)


def joined(environment: Sequence[Wheel], given: Sequence[Wheel]) -> list[Wheel]:
    """Return an environment with the kernels of a folder.

    Raises:
        GivenError: A package twice, or kernels of another FlashInfer: it would not start.
    """
    known = {wheel.name: wheel.version for wheel in environment}
    wanted = known.get("flashinfer-python", "")
    for wheel in given:
        if wheel.name in known:
            raise GivenError(f"{wheel.name} : deux fois.", f"{wheel.name}: twice.")
        if wheel.version.partition("+")[0] != wanted:
            raise GivenError(
                f"{wheel.name} {wheel.version} : FlashInfer est en version {wanted}.",
                f"{wheel.name} {wheel.version}: FlashInfer is {wanted}.",
            )
    return [*environment, *given]

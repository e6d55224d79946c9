"""Names of files in a bundle: what may be written on FAT32 and under a release, no other.

A path arrives before anything about it is proved, and ends as an argument of `open`. It is
relative, stays below its folder, and means the same on every file system of a stick.
"""

import re

from appliance.errors import FormatError

PATH_CHARS_MAX = 400
NAME_CHARS_MAX = 200  # FAT32 and ext4 end at 255 units
DEPTH_MAX = 16
DIGEST = re.compile(r"[0-9a-f]{64}\Z")
# What no name may hold: controls, what FAT32 and exFAT refuse, and the backslash of Windows.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\u2028\u2029\ud800-\udfff]')
_DEVICES = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}


def check_digest(text: str) -> str:
    """Return the SHA-256 in lower-case hexadecimal.

    Raises:
        FormatError: It is not one.
    """
    if not DIGEST.match(text):
        raise FormatError(f"not a SHA-256 in lower-case hexadecimal: {text[:80]!r}")
    return text


def _check_name(name: str) -> None:
    if not name or name in {".", ".."} or len(name) > NAME_CHARS_MAX:
        raise FormatError(f"path with an empty, relative or too long name: {name[:80]!r}")
    if _FORBIDDEN.search(name) or name[-1] in ". " or name[0] == " ":
        raise FormatError(f"path with a character that media cannot carry: {name!r}")
    if name.partition(".")[0].lower() in _DEVICES:
        raise FormatError(f"path with a name that Windows keeps for a device: {name!r}")


def check_path(path: str) -> str:
    """Return the path, which is safe below any folder.

    Raises:
        FormatError: Absolute, climbing, too long or deep, or a name that media cannot carry.
    """
    if len(path) > PATH_CHARS_MAX or path.count("/") >= DEPTH_MAX:
        raise FormatError(f"path too long or too deep: {path[:80]!r}")
    for name in path.split("/"):
        _check_name(name)
    return path


def check_unique(paths: list[str]) -> None:
    """Refuse two paths that FAT32 takes for one, and a file where another needs a folder.

    Raises:
        FormatError: Named after the first such path.
    """
    seen: set[str] = set()
    for path in paths:
        if (folded := path.casefold()) in seen:
            raise FormatError(f"path listed twice, or differing only by case: {path!r}")
        seen.add(folded)
    for path in paths:
        parts = path.casefold().split("/")
        if any("/".join(parts[:n]) in seen for n in range(1, len(parts))):
            raise FormatError(f"path below a file: {path!r}")

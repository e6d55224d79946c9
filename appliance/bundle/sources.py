"""The sources of a build: the commit that is checked out, exported, with the built assets.

Only what is committed travels; the built assets of the console, which git does not hold, come
from the working tree. The time of the commit is the time of the build.
"""

import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from appliance.bundle.fetch import FetchError

ASSETS = "appliance/console/static/vendor"


@dataclass(frozen=True, slots=True)
class Sources:
    """An exported commit."""

    folder: Path
    commit: str
    created: int  # seconds since 1970
    changed: tuple[str, ...] = ()  # files of the working tree that a person changed


def export(repository: Path, folder: Path) -> Sources:
    """Export the commit that is checked out into an empty folder.

    Raises:
        FetchError: It is not a repository of git.
    """
    commit, created = _git(repository, "log", "-1", "--format=%H %ct").decode().split()
    archive = _git(repository, "archive", "--format=tar", commit)
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    if (repository / ASSETS).is_dir():
        shutil.copytree(repository / ASSETS, folder / ASSETS, dirs_exist_ok=True)
        (folder / ASSETS / ".built").unlink(missing_ok=True)
    return Sources(folder, commit, int(created), tuple(changed(repository)))


def changed(repository: Path) -> list[str]:
    """Return the files that differ from the commit; the built assets are nobody's change.

    Raises:
        FetchError: It is not a repository of git.
    """
    words = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    status = _git(repository, *words).decode().split("\0")
    paths = (line[3:] for line in status if line)
    return [path for path in paths if not f"{path}/".startswith(f"{ASSETS}/")]


def _git(repository: Path, *words: str) -> bytes:
    argv = [shutil.which("git") or "git", "-C", str(repository), *words]
    done = subprocess.run(argv, capture_output=True, check=False)  # noqa: S603 - no shell
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise FetchError(f"git : {said}", "git failed.")
    return done.stdout

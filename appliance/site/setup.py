"""Set up, on a site, what the demo sets up by itself: Keycloak's home and settings, the front.

Each function brings files to what is wanted and returns what it changed in words, nothing at a
second call: the playbooks restart a unit when something was said. Root runs them; the archive
of Keycloak was verified with the bundle that brought it.
"""

import hashlib
import os
import subprocess
from pathlib import Path

from appliance.errors import ApplianceError
from appliance.front_settings import FrontSettings
from appliance.settings import KeycloakSettings, read_secret
from appliance.site import keycloak
from appliance.site.apply import replace, same_bytes
from appliance.site.haproxy import Administration, Front, answers, render
from appliance.site.keycloak import Instance

HAPROXY = "/usr/sbin/haproxy"
CURRENT, BUILT = "current", "built"
CREDENTIALS = "CREDENTIALS_DIRECTORY"  # set by systemd; haproxy reads it inside double quotes


class SetUpError(ApplianceError):
    """A part of the site refuses the settings that it was given."""

    code = "CM-IDE-08"


def set_up_keycloak(settings: KeycloakSettings) -> list[str]:
    """Unpack and build Keycloak, put the pages of the login in, write its settings.

    Raises:
        KeycloakError: It cannot be built.
        SettingsError: A secret is missing.
    """
    changes: list[str] = []
    home = settings.homes / f"keycloak-{keycloak.recipe(_digest(settings.archive))}"
    if not (home / BUILT).exists():
        settings.homes.mkdir(parents=True, exist_ok=True)
        keycloak.make_home(settings.archive, home)
        (home / "data").mkdir(exist_ok=True)  # the unit mounts its own folder there
        (home / BUILT).touch()
        changes.append(f"built {home.name}")
    if keycloak.put_theme(home):
        changes.append("pages of the login")
    if _point(settings.homes / CURRENT, home.name):
        changes.append(f"current is {home.name}")
    wanted = keycloak.configuration(
        instance(settings),
        read_secret(settings.database_secret).decode(),
        bootstrap=read_secret(settings.bootstrap_secret).decode(),
    )
    return changes + _put(settings.configuration, wanted.encode(), 0o400)


def instance(settings: KeycloakSettings) -> Instance:
    """Return where the site's Keycloak is."""
    return Instance(
        directory=settings.configuration.parent,
        port=settings.port,
        management_port=settings.management_port,
        database_port=settings.database_port,
        origin=settings.origin,
        admin_origin=settings.admin_origin,
    )


def set_up_front(settings: FrontSettings) -> list[str]:
    """Write what haproxy reads, once haproxy itself has accepted it.

    Raises:
        SetUpError: haproxy refuses; nothing that it reads was changed but the pages.
    """
    settings.pages.mkdir(mode=0o755, parents=True, exist_ok=True)
    changes: list[str] = []
    for name, answer in answers().items():
        changes += _put(settings.pages / name, answer, 0o644)
    text = render(front(settings)).encode()
    if same_bytes(settings.configuration, text):
        return changes
    fresh = settings.configuration.with_suffix(".new")
    replace(fresh, text, mode=0o644)
    done = subprocess.run(  # noqa: S603 - arguments are ours
        [HAPROXY, "-c", "-f", str(fresh)],
        env={CREDENTIALS: str(settings.certificates)},
        capture_output=True,
        text=True,
        check=False,
    )
    fresh.unlink()
    if done.returncode:
        raise SetUpError(f"haproxy refuses its settings:\n{done.stderr[-2000:]}")
    return changes + _put(settings.configuration, text, 0o644)


def front(settings: FrontSettings) -> Front:
    """Return what the site's front joins. Certificates come as credentials of haproxy."""
    admin = Administration(
        bind=settings.admin,
        port=int(settings.admin.rpartition(":")[2]),
        certificate=f'"${{{CREDENTIALS}}}/admin.pem"',
        cards=str(settings.cards) if settings.cards else None,
    )
    return Front(
        bind=settings.users,
        port=int(settings.users.rpartition(":")[2]),
        inside=str(settings.inside),
        gateways={name: str(path) for name, path in sorted(settings.gateways.items())},
        console=str(settings.console),
        identity=settings.identity,
        pages=str(settings.pages),
        certificate=f'"${{{CREDENTIALS}}}/users.pem"',
        inside_mode="660",
        admin=admin,
        measures=settings.measures,
    )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise SetUpError(f"{path}: {exc.strerror}") from exc


def _point(link: Path, target: str) -> bool:
    """Make a symbolic link lead to `target`; tell whether it did not."""
    if link.is_symlink() and link.readlink() == Path(target):
        return False
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(target)
    fresh.rename(link)
    return True


def _put(path: Path, content: bytes, mode: int) -> list[str]:
    if same_bytes(path, content) and path.stat().st_mode & 0o777 == mode:
        return []
    replace(path, content, mode=mode)
    return [str(path)]

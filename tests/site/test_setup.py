import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import ApplianceError
from appliance.front_settings import FrontSettings
from appliance.settings import KeycloakSettings
from appliance.site import keycloak, setup
from appliance.site.credentials import make
from appliance.site.setup import SetUpError, front, set_up_front, set_up_keycloak


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeycloakSettings:
    """Return settings for an archive whose program builds by leaving a file."""
    source = tmp_path / "keycloak-x"
    for name in ("bin", "conf", "themes"):
        (source / name).mkdir(parents=True)
    script = source / "bin" / "kc.sh"
    script.write_text('#!/bin/sh\necho "$1" >> "$(dirname "$0")/../built-by"\n')
    script.chmod(0o755)
    with tarfile.open(tmp_path / "keycloak-x.tar.gz", "w:gz") as tar:
        tar.add(source, "keycloak-x")
    monkeypatch.setattr(keycloak, "find_java", lambda: "/usr/bin/java")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    make(secrets, ["database", "bootstrap"])
    return KeycloakSettings(
        archive=tmp_path / "keycloak-x.tar.gz",
        homes=tmp_path / "homes",
        configuration=secrets / "keycloak.conf",
        origin="https://casemate.test",
        admin_origin="https://admin.test:8443",
        database_secret=secrets / "database",
        bootstrap_secret=secrets / "bootstrap",
    )


def test_keycloak_is_built_once_and_a_second_call_changes_nothing(
    identity: KeycloakSettings,
) -> None:
    first = set_up_keycloak(identity)
    home = (identity.homes / "current").resolve()
    assert first == [
        f"built {home.name}",
        "pages of the login",
        f"current is {home.name}",
        str(identity.configuration),
    ]
    assert set_up_keycloak(identity) == []
    assert (home / "built-by").read_text() == "build\n"


def test_its_settings_are_roots_alone_and_name_both_origins(identity: KeycloakSettings) -> None:
    set_up_keycloak(identity)
    text = identity.configuration.read_text()
    assert identity.configuration.stat().st_mode & 0o777 == 0o400
    assert f"db-password={identity.database_secret.read_text()}\n" in text
    assert "hostname=https://casemate.test/auth\n" in text
    assert "hostname-admin=https://admin.test:8443/auth\n" in text


def test_each_hand_made_change_is_undone_and_said_alone(identity: KeycloakSettings) -> None:
    set_up_keycloak(identity)
    home = (identity.homes / "current").resolve()
    changed: list[tuple[Path, Callable[[Path], object], str]] = [
        (identity.configuration, lambda p: p.chmod(0o644), str(identity.configuration)),
        (identity.homes / "current", lambda p: p.unlink(), f"current is {home.name}"),
        (
            home / "themes" / "casemate" / "login" / "template.ftl",
            lambda p: p.write_text("other"),
            "pages of the login",
        ),
    ]
    for path, change, said in changed:
        change(path)
        assert set_up_keycloak(identity) == [said]
        assert set_up_keycloak(identity) == []


def test_a_build_that_was_cut_short_is_done_again(identity: KeycloakSettings) -> None:
    set_up_keycloak(identity)
    home = (identity.homes / "current").resolve()
    (home / "built").unlink()
    assert set_up_keycloak(identity) == [f"built {home.name}", "pages of the login"]


def test_an_archive_that_is_not_there_is_named(identity: KeycloakSettings) -> None:
    identity.archive.unlink()
    with pytest.raises(ApplianceError, match=r"keycloak-x\.tar\.gz: No such file"):
        set_up_keycloak(identity)


@pytest.fixture
def wanted(tmp_path: Path) -> FrontSettings:
    return FrontSettings(
        configuration=tmp_path / "haproxy.cfg",
        pages=tmp_path / "pages",
        certificates=tmp_path,
        users="127.0.0.1:443",
        admin="127.0.0.2:8443",
        inside=tmp_path / "inside",
        gateways={"gateway-1": tmp_path / "1", "gateway-0": tmp_path / "0"},
        console=tmp_path / "console",
    )


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for haproxy: it says where certificates are, and refuses when told to."""
    program = tmp_path / "haproxy"
    program.write_text(
        '#!/bin/sh\nd=$(dirname "$0")\necho "$CREDENTIALS_DIRECTORY" > "$d/asked"\n'
        'test ! -e "$d/refuse" || { echo "line 3: no" >&2; exit 1; }\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(setup, "HAPROXY", str(program))
    return tmp_path


def test_the_front_is_written_once_haproxy_accepts_it(
    wanted: FrontSettings, told: Path
) -> None:
    assert set_up_front(wanted)[-1] == str(wanted.configuration)
    assert set_up_front(wanted) == []
    assert (told / "asked").read_text() == f"{wanted.certificates}\n"
    assert not wanted.configuration.with_suffix(".new").exists()


def test_settings_that_haproxy_refuses_change_nothing(
    wanted: FrontSettings, told: Path
) -> None:
    set_up_front(wanted)
    before = wanted.configuration.read_bytes()
    (told / "refuse").touch()
    other = wanted.model_copy(update={"users": "127.0.0.1:444"})
    with pytest.raises(SetUpError, match="line 3: no"):
        set_up_front(other)
    assert wanted.configuration.read_bytes() == before


def test_certificates_are_credentials_and_each_front_has_its_own_port(
    wanted: FrontSettings,
) -> None:
    found = front(wanted)
    assert found.certificate == '"${CREDENTIALS_DIRECTORY}/users.pem"'
    assert found.admin is not None
    assert found.admin.certificate == '"${CREDENTIALS_DIRECTORY}/admin.pem"'
    assert (found.port, found.admin.port) == (443, 8443)
    assert list(found.gateways) == ["gateway-0", "gateway-1"]

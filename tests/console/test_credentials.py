from pathlib import Path
from typing import Any

import pytest

from appliance.console.credentials import console_credentials
from appliance.errors import FormatError
from appliance.settings import ConsoleSettings, RealmSettings, SettingsError
from tests.audit.logs import VERIFIER_KEY

SECRETS = ("session-key", "site-secret", "history-key", "object-key")


@pytest.fixture
def settings(tmp_path: Path) -> ConsoleSettings:
    for name in SECRETS:
        (tmp_path / name).write_bytes(name.encode().ljust(32, b"-"))
    (tmp_path / "client-secret").write_text("secret du client\n".replace("é", "e"))
    (tmp_path / "log-key").write_text(f"{VERIFIER_KEY}\n")
    paths: dict[str, Any] = {
        name.replace("-", "_"): tmp_path / name
        for name in (*SECRETS, "client-secret", "log-key")
    }
    return ConsoleSettings(
        socket=tmp_path / "s", origin="http://localhost:1", site="Site", database="x",
        gateway=tmp_path / "g", recorder=tmp_path / "r", policy=tmp_path / "p",
        realm=RealmSettings(issuer="i", backchannel="b"), objects=tmp_path, **paths,
    )  # fmt: skip


def test_credentials_are_read_once_and_never_shown(settings: ConsoleSettings) -> None:
    read = console_credentials(settings)
    assert read.client == "secret du client"
    assert read.session.startswith(b"session-key")
    assert read.log_key == VERIFIER_KEY
    assert "session-key" not in repr(read)
    assert "secret du client" not in repr(read)


@pytest.mark.parametrize("name", [*SECRETS, "client-secret", "log-key"])
def test_an_absent_credential_is_named(settings: ConsoleSettings, name: str) -> None:
    (settings.objects / name).unlink()
    with pytest.raises(SettingsError, match=name):
        console_credentials(settings)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("history-key", b"x" * 33, SettingsError),
        ("session-key", b"court", SettingsError),
        ("log-key", b"not a key", FormatError),
        ("client-secret", "é".encode(), SettingsError),
    ],
)
def test_a_credential_of_another_form_is_refused(
    settings: ConsoleSettings, name: str, content: bytes, error: type[Exception]
) -> None:
    (settings.objects / name).write_bytes(content)
    with pytest.raises(error):
        console_credentials(settings)

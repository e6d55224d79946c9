from pathlib import Path

import pytest

from appliance.audit.event import Fact, Kind, parse
from appliance.errors import FormatError
from appliance.settings import RecorderSettings
from appliance.site.rack import uses
from appliance.site.rack.uses import (
    BREAK_GLASS,
    USED,
    booted,
    changed,
    flush,
    is_break_glass,
    opened,
    ran,
    record,
)
from tests.trail import facts_of

LOGIN = {
    "PAM_TYPE": "open_session",
    "PAM_SERVICE": "login",
    "PAM_USER": "anne",
    "PAM_TTY": "/dev/tty1",
}
SUDO = {"PAM_SERVICE": "sudo", "PAM_USER": "root", "PAM_RUSER": BREAK_GLASS}
RESCUE = {**LOGIN, "PAM_USER": BREAK_GLASS}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "PATIENCE", 0.3)


def waiting(folder: Path) -> list[Fact]:
    found = [parse(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    assert all(isinstance(event, Fact) for event in found)
    return [event for event in found if isinstance(event, Fact)]


def logins(settings: RecorderSettings) -> list[Fact]:
    """Return the uses of the rack in the log, in its order."""
    return facts_of(settings.socket, Kind.ADMIN_ACCESS)


def test_a_login_names_the_person_the_service_and_the_terminal() -> None:
    event = opened(LOGIN)
    assert (event.kind, event.actor) == (Kind.ADMIN_ACCESS, "local:anne")
    assert event.data == {
        "way": "rack", "action": "login", "service": "login", "user": "anne",
        "terminal": "/dev/tty1",
    }  # fmt: skip


def test_behind_sudo_the_person_is_who_asked_not_who_they_become() -> None:
    event = opened(SUDO)
    assert (event.actor, event.data["user"]) == (f"local:{BREAK_GLASS}", "root")
    assert event.data["action"] == "sudo"
    assert is_break_glass(event)


def test_a_named_person_behind_sudo_is_recorded_too() -> None:
    event = opened({**SUDO, "PAM_RUSER": "anne"})
    assert (event.actor, event.data["action"], event.data["way"]) == (
        "local:anne", "sudo", "rack",
    )  # fmt: skip
    assert not is_break_glass(event)


def test_whoever_becomes_the_sealed_account_breaks_its_seal() -> None:
    event = opened({"PAM_SERVICE": "su", "PAM_USER": BREAK_GLASS, "PAM_RUSER": "root"})
    assert (event.actor, is_break_glass(event)) == ("local:root", True)


def test_the_sealed_account_is_told_from_named_people() -> None:
    assert is_break_glass(opened(RESCUE))
    assert not is_break_glass(opened(LOGIN))
    assert not is_break_glass(changed("anne", BREAK_GLASS, "seal"))


def test_no_field_is_longer_than_an_event_takes() -> None:
    event = opened({**LOGIN, "PAM_RHOST": "x" * 4_000})
    assert len(str(event.data["from"])) == 200


def test_without_a_recorder_uses_wait_in_order_and_the_seal_is_broken(tmp_path: Path) -> None:
    assert not record(opened(RESCUE), tmp_path, tmp_path / "absent", 2)
    assert not record(opened(LOGIN), tmp_path, tmp_path / "absent", 10)
    assert [event.actor for event in waiting(tmp_path)] == [
        f"local:{BREAK_GLASS}", "local:anne",
    ]  # fmt: skip
    assert (tmp_path / USED).exists()
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_named_login_breaks_no_seal(tmp_path: Path) -> None:
    record(opened(LOGIN), tmp_path, tmp_path / "absent", 1)
    assert not (tmp_path / USED).exists()


@pytest.mark.usefixtures("recorder")
def test_what_waited_is_in_the_log_once_the_recorder_is_back(
    tmp_path: Path, recorder_settings: RecorderSettings
) -> None:
    record(opened(RESCUE), tmp_path, tmp_path / "absent", 1)
    kept = waiting(tmp_path)
    assert record(opened(LOGIN), tmp_path, recorder_settings.socket, 2)
    assert waiting(tmp_path) == []
    said = logins(recorder_settings)
    assert [event.actor for event in said] == [f"local:{BREAK_GLASS}", "local:anne"]
    assert said[0].id == kept[0].id


@pytest.mark.usefixtures("recorder")
def test_telling_twice_writes_one_record(
    tmp_path: Path, recorder_settings: RecorderSettings
) -> None:
    record(opened(RESCUE), tmp_path, tmp_path / "absent", 1)
    (path,) = tmp_path.glob("*.json")
    text = path.read_bytes()
    assert flush(tmp_path, recorder_settings.socket) == 0
    path.write_bytes(text)  # a power cut before it was removed
    assert flush(tmp_path, recorder_settings.socket) == 0
    said = logins(recorder_settings)
    assert len(said) == 1


@pytest.mark.usefixtures("recorder")
def test_what_cannot_be_kept_is_told_and_what_cannot_be_told_is_an_error(
    tmp_path: Path, recorder_settings: RecorderSettings
) -> None:
    absent = tmp_path / "absent"
    assert record(opened(RESCUE), absent, recorder_settings.socket, 1)
    with pytest.raises(OSError, match="absent"):
        record(opened(RESCUE), absent, tmp_path / "nobody", 2)
    assert len(logins(recorder_settings)) == 1


def test_a_damaged_record_stops_no_other_and_is_kept_to_be_seen(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text("{")
    record(opened(LOGIN), tmp_path, tmp_path / "absent", 2)
    assert [event.actor for event in waiting(tmp_path)] == ["local:anne"]
    assert (tmp_path / "1.damaged").exists()


BOOT = "f7b2ee82cb3a4e2ab038cd8df3ecb77d"


@pytest.mark.usefixtures("recorder")
def test_a_start_of_the_machine_is_recorded_once_however_often_it_is_told(
    tmp_path: Path, recorder_settings: RecorderSettings
) -> None:
    for now in (1, 2):
        assert record(booted(BOOT, "6.12"), tmp_path, recorder_settings.socket, now)
    (start,) = facts_of(recorder_settings.socket, Kind.SERVICE_BOOT)
    assert start.data == {"boot": BOOT, "kernel": "6.12"}


def test_what_is_no_boot_is_refused() -> None:
    with pytest.raises(FormatError):
        booted("%b", "6.12")


def test_a_run_of_the_playbooks_says_who_and_how_much() -> None:
    event = ran("anne", "site.yml", changed=3, failures=0)
    assert (event.kind, event.actor) == (Kind.CONFIG_CHANGE, "local:anne")
    assert event.data == {"source": "playbook", "name": "site.yml", "changed": 3, "failures": 0}

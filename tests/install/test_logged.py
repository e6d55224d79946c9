from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit.client import RecorderError
from appliance.audit.event import Kind, encode, parse
from appliance.install import logged
from appliance.install.logged import events, tell
from appliance.install.report import Lap
from appliance.settings import RecorderSettings
from tests.install.stage import RELEASE
from tests.trail import facts_of

LAPS = [Lap(number=1, name="Contrôles", seconds=2), Lap(number=2, name="Support", seconds=58)]


def test_each_phase_is_a_fact_and_the_last_names_the_release_and_the_journal() -> None:
    found = events(RELEASE, LAPS, "ef" * 32)
    assert [fact.data["phase"] for fact in found] == ["Contrôles", "Support", "installation"]
    assert found[-1].data == {
        "phase": "installation", "seconds": 60, "version": "1.0.0", "release": 7,
        "manifest": RELEASE.manifest, "journal": "ef" * 32,
    }  # fmt: skip
    assert {fact.kind for fact in found} == {Kind.INSTALL_PHASE}


def test_the_facts_are_events_that_a_recorder_takes() -> None:
    for fact in events(RELEASE, LAPS, "ef" * 32):
        assert parse(encode(fact)) == fact


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logged, "PATIENCE", 0.3)
    return iter(())


@pytest.mark.usefixtures("impatient")
def test_without_a_recorder_nothing_is_said_to_be_recorded(tmp_path: Path) -> None:
    with pytest.raises(RecorderError):
        tell(tmp_path / "socket", events(RELEASE, LAPS, "ef" * 32))


@pytest.mark.usefixtures("recorder")
def test_the_log_of_a_site_has_each_phase(recorder_settings: RecorderSettings) -> None:
    tell(recorder_settings.socket, events(RELEASE, LAPS, "ef" * 32))
    found = facts_of(recorder_settings.socket, Kind.INSTALL_PHASE)
    assert [one.data["phase"] for one in found] == ["Contrôles", "Support", "installation"]

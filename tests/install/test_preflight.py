from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.template import Templar  # type: ignore[import-untyped]

from appliance.install.answers import Override as Wish
from appliance.install.preflight import (
    FREE_BESIDE,
    GIB,
    MEMORY_NEEDED,
    Check,
    Level,
    NotReadyError,
    Override,
    OverrideError,
    checks,
    refusal,
    taken,
)
from tests.install.conftest import READY

DAY, YEAR = 86_400, 365 * 86_400


def found(**changes: Any) -> dict[str, Check]:
    return {check.id: check for check in checks(replace(READY, **changes))}


def test_a_machine_with_all_it_needs_passes_every_check() -> None:
    assert {check.level for check in checks(READY)} == {Level.PASS}


@pytest.mark.parametrize(
    ("changes", "name", "level", "says"),
    [
        pytest.param({"uid": 1000}, "root", "strict", "sudo", id="not root"),
        pytest.param({"os": ("debian", "12")}, "target", "strict", "Debian 13", id="Debian 12"),
        pytest.param({"os": ("ubuntu", "13")}, "target", "strict", "Debian 13", id="Ubuntu"),
        pytest.param({"arch": "aarch64"}, "target", "strict", "x86-64", id="ARM"),
        pytest.param({"systemd": False}, "systemd", "strict", "systemd", id="container"),
        pytest.param({"free": 14 * GIB}, "room", "fail", "15,0 Gio", id="disk"),
        pytest.param({"memory": 4 * GIB}, "memory", "fail", "5,0 Gio", id="memory"),
        pytest.param({"profile": "gpu"}, "memory", "fail", "30,0 Gio", id="memory for a GPU"),
    ],
)
def test_each_shortcoming_has_its_level_and_a_remedy(
    changes: dict[str, Any], name: str, level: str, says: str
) -> None:
    check = found(**changes)[name]
    assert check.level == level
    assert says in f"{check.message} {check.remedy}"
    assert check.remedy


def test_a_profile_that_was_not_rehearsed_on_its_cards_is_said_and_stops_nothing() -> None:
    check = found(profile="gpu", rehearsed=False)["rehearsal"]
    assert check.level == Level.WARN
    assert "non répété sur un GPU / not rehearsed on a GPU" in check.message
    assert check.remedy
    assert taken([check], (), "C. Vasseur") == ()
    assert found(profile="gpu")["rehearsal"].level == Level.PASS
    assert "rehearsal" not in found(rehearsed=False)


def test_a_clock_three_days_behind_stops_with_its_sentence() -> None:
    check = found(clock=READY.created - 3 * DAY)["clock"]
    assert check.level == Level.STRICT
    assert refusal(check) == (
        "[clock] Horloge : l’horloge dit 11/11/2023 22:13 UTC, mais le lot a été fabriqué le "
        "14/11/2023 22:13 UTC : elle retarde. Mettez la machine à l’heure (timedatectl "
        "set-time), puis relancez."
    )


def test_a_clock_five_years_ahead_is_remarked_and_stops_nothing() -> None:
    check = found(clock=READY.created + 5 * YEAR)["clock"]
    assert check.level == Level.WARN
    assert "5 ans après la fabrication du lot (14/11/2023 22:13 UTC)" in check.message
    assert taken([check], (), "C. Vasseur") == ()


def test_a_clock_of_the_second_of_making_is_good() -> None:
    assert found(clock=READY.created)["clock"].level == Level.PASS


def test_a_failed_check_is_taken_over_by_a_named_person_with_a_reason() -> None:
    wish = Wish(check="memory", reason="Mémoire commandée")
    used = taken(found(memory=GIB).values(), [wish], "C. Vasseur")
    assert used == (Override("memory", "C. Vasseur", "Mémoire commandée"),)


def test_an_override_that_is_not_needed_is_not_reported() -> None:
    assert taken(checks(READY), [Wish(check="memory", reason="x")], "C. Vasseur") == ()


def test_nobody_overrides_a_strict_check() -> None:
    with pytest.raises(OverrideError, match="clock"):
        taken(found(clock=0).values(), [Wish(check="clock", reason="pressé")], "C. Vasseur")


def test_a_refusal_names_every_failed_check_with_its_remedy() -> None:
    with pytest.raises(NotReadyError) as caught:
        taken(found(memory=GIB, free=GIB).values(), (), "C. Vasseur")
    lines = str(caught.value).splitlines()
    assert [line.split("]")[0] for line in lines] == ["[room", "[memory"]
    assert "Libérez de la place" in lines[0]


@pytest.mark.parametrize("profile", MEMORY_NEEDED)
def test_the_playbook_asks_for_what_the_first_checks_asked_for(profile: str) -> None:
    """A machine that was let in must not be refused once the bundle is copied."""
    role = Path(__file__).parents[2] / "playbooks/roles/preflight"
    path = str(role / "defaults" / "main.yml")
    asked = DataLoader().load_from_file(path, trusted_as_template=True)
    templar = Templar(loader=DataLoader(), variables={"preflight_profile": profile})
    assert templar.template(asked["preflight_memory_gib"]) * GIB == MEMORY_NEEDED[profile]
    assert asked["preflight_disk_gib"] * GIB == FREE_BESIDE

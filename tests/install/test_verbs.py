import pytest

from appliance.install.preflight import Level
from appliance.install.record import HeldError, held
from appliance.install.verbs import NoReleaseError, controller_of, measure
from tests.install.stage import CANARY, RELEASE, Stage, task

LUKS = {"id": "luks", "level": "warn", "title": "Chiffrement", "message": "inconnu"}


def linked(stage: Stage) -> Stage:
    stage.places.link(RELEASE.release_seq)
    return stage


def test_what_a_playbook_hands_over_is_measured(stage: Stage) -> None:
    events = [
        {"kind": "start", "role": "", "task": "Look"},
        task("Look", casemate_check=LUKS), task("Change", "changed"),
        task("Count", "failed", casemate_egress=CANARY),
    ]  # fmt: skip
    linked(stage).play({"preflight.yml": {"events": events, "status": 2}})
    heard: list[str] = []
    found = measure(stage.places, "preflight.yml", lambda event: heard.append(event["kind"]))
    assert [(check.id, check.level) for check in found.checks] == [("luks", Level.WARN)]
    assert (found.tasks, found.changed, found.status) == (3, 1, 2)
    assert found.failed["task"] == "Count"
    assert [canary.attempts for canary in found.egress] == [0]
    assert heard == ["start", "task", "task", "task"]


def test_without_a_release_there_is_nothing_to_measure(stage: Stage) -> None:
    with pytest.raises(NoReleaseError):
        measure(stage.places, "preflight.yml")


def test_nothing_is_measured_while_an_installation_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.install.verbs.held", lambda folder: held(folder, 0))
    with held(stage.places.install), pytest.raises(HeldError):
        measure(linked(stage).places, "preflight.yml")


def test_the_playbooks_are_those_of_the_release_with_the_values_of_the_site(
    stage: Stage,
) -> None:
    found = controller_of(stage.places, 7, 5)
    assert found.playbooks == stage.places.release(7) / "playbooks"
    assert found.inventories[-1] == stage.places.inventory, "the last one wins"
    assert found.inherited == (5,)

import tomllib
from itertools import pairwise

import msgspec
import pytest

from appliance.install.answers import check, read_answers
from appliance.install.container import Card
from appliance.install.rehearsal import (
    DECLARED,
    MARKING,
    NOT_SHOWN,
    OF_THIS_MACHINE,
    WHY,
    Outcome,
    UnplayableError,
    cards,
    changed_last,
    outcome,
    played,
    toml,
    words,
)
from appliance.install.screen import Language
from tests.install.stage import GIVEN
from tests.install.test_report import FACTS

FULL = {
    **GIVEN, "users_address": "192.0.2.10", "admin_address": "198.51.100.200", "gateways": 3,
    "zones": {
        "users": {"interface": "eno1", "sources": ["203.0.113.0/24", "192.0.2.0/25"]},
        "admin": {"interface": "eno2", "sources": []},
        "backup": {"interface": "eno2", "sources": ["198.51.100.7"]},
        "logs": {"interface": "lo", "sources": []},
    },
    "hosts": [{"address": "192.0.2.1", "names": ["heure.site.internal"]}],
    "media": [{"serial": "S-0042", "handed_by": "É. Martin"}],
    "overrides": [{"check": "memoire", "reason": "Commandée"}],
    "site_toml": "/media/usb/site.toml", "marking": "DIFFUSION RESTREINTE",
}  # fmt: skip
SITE = check(FULL)
GOOD = Outcome(
    site_name="Atelier", version="1.0.0", release_seq=7, manifest="ab" * 32, seconds=60,
    laps=((1, "Contrôles de la machine", 2),), remarks=("Mémoire : 1,0 Gio",), attempts=0,
    caught=True, changed_again=(),
)  # fmt: skip


def test_the_container_plays_the_answers_of_the_site() -> None:
    given = check(read_answers(toml(played(SITE, declared=True))))
    changed = {"overrides", "marking", "site_toml"}
    assert given.model_dump(exclude=changed) == SITE.model_dump(exclude=changed)
    assert given.site_toml == DECLARED


def test_its_papers_say_that_they_are_worth_nothing() -> None:
    assert played(SITE, declared=True)["marking"] == MARKING


def test_room_and_memory_are_those_of_this_machine_unless_someone_answers_for_them() -> None:
    given = check(read_answers(toml(played(SITE, declared=False))))
    reasons = {one.check: one.reason for one in given.overrides}
    assert reasons == {**dict.fromkeys(OF_THIS_MACHINE, WHY), "memoire": "Commandée"}
    assert given.site_toml is None


def test_a_profile_that_needs_cards_is_not_played() -> None:
    with pytest.raises(UnplayableError, match="carte graphique"):
        played(check({**GIVEN, "profile": "gpu"}), declared=False)


@pytest.mark.parametrize(
    "value", ['a "b" \\ c', "tab\tline\nnew", "é – 日", "\x7f\x01", 12, ["a", 1], {"k": ["v"]}]
)
def test_a_value_reads_back_from_toml(value: object) -> None:
    assert tomllib.loads(toml({"key": value})) == {"key": value}


def test_each_card_of_the_inventory_has_the_address_of_its_zone() -> None:
    assert cards(SITE) == (
        Card("eno1", ("192.0.2.10/25",)), Card("eno2", ("198.51.100.200/24",)),
    )  # fmt: skip


def test_an_inventory_without_zones_has_no_card() -> None:
    assert cards(check(GIVEN)) == ()


def test_what_was_found_comes_from_the_report() -> None:
    found = outcome(FACTS, ("pki : Renew",))
    assert (found.seconds, found.attempts, found.caught) == (60, 0, True)
    assert found.remarks == ("Mémoire : 1,0 Gio",)
    assert found.manifest == FACTS.release.manifest
    assert not found.good


@pytest.mark.parametrize(
    "bad", [{"attempts": 1}, {"caught": False}, {"changed_again": ("pki : Renew",)}], ids=str
)
def test_one_may_travel_only_when_nothing_was_found(bad: dict[str, object]) -> None:
    assert GOOD.good
    failed = msgspec.structs.replace(GOOD, **bad)
    assert not failed.good
    shown = [*words(failed, Language.FR)]
    assert ("  – pki : Renew" in shown) == bool(failed.changed_again)
    assert "ne partez pas" in [*words(failed, Language.FR)][-1]
    assert "do not travel" in [*words(failed, Language.EN)][-1]


def test_what_the_last_installation_changed_is_named() -> None:
    def task(name: str, outcome: str) -> dict[str, str]:
        return {"event": "task", "role": "pki", "task": name, "outcome": outcome}

    begin, end = {"event": "install.begin"}, {"event": "phase.done", "phase": "system"}
    first = [begin, task("Make", "changed"), end]
    last = [begin, task("Read", "ok"), task("Renew", "changed"), {"event": "install.resume"}]
    rows = [*first, *last, end]
    assert changed_last(rows) == ("pki : Renew",)


def test_a_report_without_an_egress_proof_is_no_good() -> None:
    assert not outcome(msgspec.structs.replace(FACTS, egress=()), ()).good


def test_what_is_not_shown_is_said_before_the_verdict_in_both_languages() -> None:
    for language, at in ((Language.FR, 0), (Language.EN, 1)):
        lines = [*words(GOOD, language)]
        places = [lines.index(f"  – {one[at]}") for one in NOT_SHOWN]
        assert all(a < b for a, b in pairwise([*places, len(lines) - 1]))
        assert any("1,0 Gio" in line for line in lines)
    assert "[ 1] Checks of the machine : 2 s (expected 5 s)" in words(GOOD, Language.EN)

"""A conversation: its marking, its turns, and what is chosen for who asks."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from appliance.console.gateway import Receipt
from appliance.console.history import Conversation
from appliance.console.problem import explain
from appliance.console.questions import Ended
from appliance.console.talk import Talk, extractive, model_for, ordinary
from appliance.console.turn import Panel, Turn
from appliance.identity.policy import Guards, Model, Policy
from appliance.identity.principal import Principal
from appliance.rag.document import Collection
from tests.console.stand import ROLES

AT = datetime(2026, 11, 23, tzinfo=UTC)
TURN = Turn("a", "Un ?", AT, label=1, receipt=Receipt(7, "x"))
TALK = Talk(uuid.UUID(int=1), [TURN], Panel("a"), [], [], ["notes"])


def test_the_marking_is_the_highest_of_turns_sources_and_recent_questions() -> None:
    assert TALK.rank == 1
    assert replace(TALK, panel=Panel("a", labels=[3])).rank == 3
    recent = Conversation(uuid.UUID(int=2), "Avant", AT, 2, 1)
    assert replace(TALK, recents=[recent]).rank == 2
    assert replace(TALK, turns=[]).rank == 0


def test_a_turn_that_the_history_has_already_is_shown_once() -> None:
    new = Turn("b", "Un ?", AT, receipt=Receipt(7, "x"))
    assert [turn.key for turn in TALK.joined(Ended(new, Panel("b"))).turns] == ["b"]
    later = Turn("c", "Deux ?", AT, receipt=Receipt(9, "y"))
    joined = TALK.joined(Ended(later, Panel("c")))
    assert [turn.key for turn in joined.turns] == ["a", "c"]
    assert joined.panel.key == "c"


def test_a_refused_turn_keeps_its_text_and_the_sources_that_were_shown() -> None:
    refused = Turn("d", "Deux ?", AT, problem=explain("CM-BUD-02"))
    joined = TALK.joined(Ended(refused, Panel()), "Deux ?")
    assert (joined.draft, joined.panel.key) == ("Deux ?", "a")
    assert [turn.key for turn in joined.turns] == ["a", "d"]


def test_models_that_quote_are_known_as_such() -> None:
    models = {"a": Model("chat", extractive=True), "b": Model("chat")}
    assert extractive(Policy("S", [], {}, models, Guards({}, {}))) == {"a"}


def test_which_model_answers_and_which_collections_are_chosen_beforehand() -> None:
    who = Principal("s", "s", frozenset({"utilisateur"}), frozenset(), (), 1)
    models = {"a": Model("embed"), "b": Model("chat", roles=["rssi"]), "c": Model("chat")}
    policy = Policy("S", [], ROLES, models, Guards({}, {}))
    assert model_for(policy, who) == "c"
    assert model_for(msgspec.structs.replace(policy, default_model="b"), who) == "b"
    assert model_for(msgspec.structs.replace(policy, models={}), who) == ""
    high = Collection("x", "X", 2, [], False, 0, 0)  # noqa: FBT003
    low = Collection("y", "Y", 1, [], False, 0, 0)  # noqa: FBT003
    assert ordinary([high, low]) == ["y"]
    assert ordinary([high]) == ["x"]

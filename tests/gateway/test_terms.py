"""What a caller may do, and what it may cost."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from appliance.errors import ApplianceError
from appliance.gateway import terms
from appliance.gateway.chat import Casemate, ChatRequest, Message
from appliance.gateway.grounded import INSTRUCTIONS
from appliance.identity.policy import Guards, Model, Policy
from appliance.identity.principal import (
    ForbiddenError,
    KeyTerms,
    Principal,
    Scope,
    TeamChoiceError,
)
from appliance.rag.retrieve import UnknownCollectionError

POLICY = Policy(
    "Site",
    ["Non protégé", "Interne", "Diffusion restreinte"],
    {"utilisateur": [Scope.CHAT, Scope.EMBED]},
    {
        "chat": Model("chat", 1),
        "chef": Model("chat", 2, ["exploitant"]),
        "vecteurs": Model("embed", 9),
    },
    Guards({}, {}),
    ungrounded=True,
)
CALLER = Principal(
    "s-1", "ana", frozenset({"utilisateur"}), frozenset({Scope.CHAT, Scope.EMBED}),
    ("/equipes/rh", "/services/a"), 2,
)  # fmt: skip
KEY = KeyTerms("k-1", frozenset({"chat"}), ("notes", "rh"), 0)


def asked(model: str = "chat", own: Casemate | None = None, **fields: Any) -> ChatRequest:
    return ChatRequest(model, [Message("user", "x")], casemate=own, **fields)


def granted(
    request: ChatRequest, caller: Principal = CALLER, policy: Policy = POLICY
) -> terms.Terms:
    return terms.decide(policy, caller, request, 100)


def test_a_plain_chat_costs_at_worst_its_bytes_and_its_answer() -> None:
    found = granted(asked(max_tokens=50))
    assert found.reserve == {"site": 150, "user:s-1": 150, "team:/equipes/rh": 150}
    assert (found.label, found.ceiling, found.collections) == (0, 1, ())
    assert found.temperature == POLICY.limits.temperature_default


def test_the_site_sets_the_length_of_who_asks_for_none() -> None:
    assert granted(asked()).max_tokens == POLICY.limits.max_tokens_default
    assert granted(asked(max_completion_tokens=7)).max_tokens == 7


def test_passages_are_reserved_as_the_engine_may_be_given_them() -> None:
    found = granted(asked(own=Casemate(["notes"]), max_tokens=50))
    limits = POLICY.limits
    worst = 150 + limits.passages * limits.passage_bytes + len(INSTRUCTIONS.encode()) + 2
    assert found.reserve["site"] == worst
    assert (found.label, found.ceiling) == (1, 1)


def test_the_ceiling_is_the_lowest_of_clearance_key_and_model() -> None:
    own = asked(own=Casemate(["notes"]))
    assert granted(own, replace(CALLER, clearance=0)).ceiling == 0
    assert granted(own, replace(CALLER, key=KEY)).ceiling == 0
    assert granted(own, replace(CALLER, clearance=9)).ceiling == 1


def test_a_key_pays_too_and_brings_its_collections() -> None:
    found = granted(asked(), replace(CALLER, key=KEY))
    assert "key:k-1" in found.reserve
    assert found.collections == ("notes", "rh")


@pytest.mark.parametrize(
    ("request_", "caller", "error"),
    [
        pytest.param(asked(), replace(CALLER, scopes=frozenset()), ForbiddenError, id="scope"),
        pytest.param(asked("autre"), CALLER, terms.ModelError, id="absent model"),
        pytest.param(asked("chef"), CALLER, terms.ModelError, id="model of another role"),
        pytest.param(asked("vecteurs"), CALLER, terms.ModelError, id="embedding model"),
        pytest.param(
            asked(),
            replace(CALLER, key=replace(KEY, models=frozenset({"m"}))),
            terms.ModelError,
            id="model outside the key",
        ),
        pytest.param(asked(max_tokens=4_097), CALLER, terms.LimitError, id="length"),
        pytest.param(asked(temperature=1.01), CALLER, terms.LimitError, id="temperature"),
        pytest.param(
            asked(own=Casemate(["paie"])),
            replace(CALLER, key=KEY),
            UnknownCollectionError,
            id="collection outside the key",
        ),
        pytest.param(
            asked(),
            replace(CALLER, groups=("/equipes/rh", "/equipes/si")),
            TeamChoiceError,
            id="two teams",
        ),
        pytest.param(
            asked(own=Casemate(team="/equipes/si")), CALLER, TeamChoiceError, id="other team"
        ),
    ],
)
def test_what_is_not_granted_is_refused(
    request_: ChatRequest, caller: Principal, error: type[ApplianceError]
) -> None:
    with pytest.raises(error):
        granted(request_, caller)


def test_the_choice_of_teams_is_in_the_error() -> None:
    caller = replace(CALLER, groups=("/equipes/rh", "/equipes/si"))
    with pytest.raises(TeamChoiceError, match="/equipes/rh, /equipes/si"):
        granted(asked(), caller)
    assert granted(asked(own=Casemate(team="/equipes/si")), caller).team == "/equipes/si"


def test_an_absent_model_and_a_hidden_one_read_the_same() -> None:
    messages = set()
    for name in ("autre", "chef", "vecteurs"):
        with pytest.raises(terms.ModelError) as caught:
            granted(asked(name))
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_no_model_answers_alone_unless_the_site_says_so() -> None:
    policy = msgspec.structs.replace(POLICY, ungrounded=False)
    with pytest.raises(terms.UngroundedError):
        granted(asked(), policy=policy)
    assert granted(asked(own=Casemate(["notes"])), policy=policy).collections == ("notes",)


def test_the_salt_differs_by_label_collections_team_and_site() -> None:
    changed, base = msgspec.structs.replace, granted(asked(own=Casemate(["a", "b"])))
    key = b"k" * 32
    others = [
        changed(base, label=0), changed(base, collections=("a",)),
        changed(base, team="/equipes/x"), changed(base, collections=("ab",)),
    ]  # fmt: skip
    salts = {terms.salt(key, found) for found in [base, *others]} | {
        terms.salt(b"x" * 32, base)
    }
    assert len(salts) == 6
    assert terms.salt(key, base) == terms.salt(key, changed(base, collections=("b", "a")))


def test_a_request_never_spends_more_than_it_reserved() -> None:
    assert terms.spent({"site": 100, "user:x": 40}, 60) == {"site": 60, "user:x": 40}


def test_an_embedding_needs_its_scope_and_its_model() -> None:
    found = terms.decide_embedding(POLICY, CALLER, "vecteurs", 70)
    assert found.reserve["user:s-1"] == 70
    several = replace(CALLER, groups=("/equipes/rh", "/equipes/si"))
    assert (
        "team:/equipes/rh" not in terms.decide_embedding(POLICY, several, "vecteurs", 1).reserve
    )
    with pytest.raises(terms.ModelError):
        terms.decide_embedding(POLICY, CALLER, "chat", 70)
    with pytest.raises(ForbiddenError):
        terms.decide_embedding(POLICY, replace(CALLER, scopes=frozenset()), "vecteurs", 70)


def test_only_the_models_of_the_caller_are_listed() -> None:
    assert list(terms.allowed(POLICY, CALLER, "chat")) == ["chat"]
    chief = replace(CALLER, roles=frozenset({"exploitant"}))
    assert list(terms.allowed(POLICY, chief, "chat")) == ["chat", "chef"]
    assert list(terms.allowed(POLICY, replace(chief, key=KEY), "chat")) == ["chat"]


@pytest.mark.parametrize("text", ["a" * 11, "é" * 6, "€" * 4])
def test_a_text_is_measured_in_bytes(text: str) -> None:
    with pytest.raises(terms.LengthError):
        terms.check_length(text, 10)
    terms.check_length(text[:-1] if text[0] != "a" else "a" * 10, 10)

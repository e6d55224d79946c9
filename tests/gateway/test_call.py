"""Records of one request: what they say, and that they hold no text."""

import json
import uuid
from typing import Any

import pytest

from appliance.audit.content import ContentKey, commit
from appliance.audit.event import Completion, Failed, Interrupted, Kind, encode, parse
from appliance.gateway.answer import Answer, Flow
from appliance.gateway.call import Call
from appliance.gateway.grounded import Inert
from appliance.gateway.guards import Guard
from appliance.gateway.terms import Terms
from appliance.identity.principal import KeyTerms, Principal, Scope
from appliance.rag.retrieve import Passage, Place

QUESTION = "Quelle est la durée du préavis ?"
RESERVE = {"site": 1_000, "user:s-1": 1_000}
TERMS = Terms("chat", 100, 0.2, (), 1, 0, "", RESERVE)
CALLER = Principal("s-1", "ana", frozenset(), frozenset({Scope.CHAT}), (), 1)


async def never() -> dict[str, Any]:
    raise AssertionError("nobody receives here")


def call(**more: Any) -> Call:
    made = Call(
        "request-000000001", CALLER, TERMS, QUESTION, never, 10.0, ContentKey(b"k" * 32)
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def answer(text: str = "Trois mois.", inert: Inert | None = None) -> Answer:
    made = Answer(Flow(Guard({}), inert))
    made.texts.append(text)
    return made


def passage(n: int, label: int = 1) -> Passage:
    place = Place(1, "", 0, 9, paged=False)
    return Passage(
        uuid.UUID(int=n), uuid.UUID(int=99), "notes", "Note", place, label, None, "in_force",
        f"texte du passage {n}", 1.0, 1.0, None,
    )  # fmt: skip


def test_an_intent_binds_the_question_without_holding_it() -> None:
    made = call().intent("p" * 44)
    assert parse(encode(made)) == made
    assert b"pr\xc3\xa9avis" not in encode(made)
    key = ContentKey(b"k" * 32).commitment_key("question")
    assert made.prompt == commit(key, QUESTION)
    assert (made.actor, made.key, made.reserve) == ("s-1", "", RESERVE)


def test_the_end_binds_the_question_again_so_that_one_receipt_opens_both_texts() -> None:
    made = call(answer=answer(""))
    asked = made.intent("p" * 44)
    end = made.terminal(Completion, "", "", content=True, now=10.5)
    assert end.prompt == asked.prompt != end.answer


def test_an_intent_names_the_key_that_asked() -> None:
    key = KeyTerms("k-1", frozenset(), (), 1)
    caller = Principal("s-1", "ana", frozenset(), frozenset(), (), 1, key=key)
    assert call(caller=caller).intent("p" * 44).key == "k-1"


def test_a_retrieval_holds_ids_and_commitments_within_one_leaf() -> None:
    made = call(passages=[passage(n) for n in range(20)], outcome="answer")
    made.terms = Terms(
        "chat", 1, 0.2, tuple("c" * 60 + str(n) for n in range(32)), 1, 1, "", {}
    )
    found = made.retrieval(["injection"])
    assert parse(encode(found)) == found
    assert found.kind == Kind.RAG_RETRIEVE
    assert str(found.data["p1"]).startswith(str(uuid.UUID(int=0)))
    assert b"texte du passage" not in encode(found)


def test_the_label_is_the_highest_of_the_passages() -> None:
    assert call().label == 0
    assert call(passages=[passage(1, 1), passage(2, 2), passage(3, 0)]).label == 2


def test_an_end_spends_what_the_engine_counted() -> None:
    told = answer()
    made = call(answer=told, asked=True)
    told.whole(
        b'{"choices":[{"message":{"content":"x"}}],'
        b'"usage":{"prompt_tokens":30,"completion_tokens":12}}'
    )
    end = made.terminal(Completion, "", "", content=True, now=10.5)
    assert parse(encode(end)) == end
    assert (end.prompt_tokens, end.completion_tokens, end.duration) == (30, 12, 500_000)
    assert end.spend == {"site": 42, "user:s-1": 42}
    assert end.content == "sealed"


def test_a_request_that_no_engine_saw_spends_nothing() -> None:
    end = call(answer=answer("")).terminal(Failed, "", "CM-MOD-01", content=False, now=11)
    assert end.spend == {"site": 0, "user:s-1": 0}
    assert end.reason == "CM-MOD-01"


def test_a_cut_request_without_counts_spends_a_bound() -> None:
    whole = call(answer=answer(""), asked=True).terminal(
        Interrupted, "client_left", "", content=False, now=11
    )
    assert whole.spend == RESERVE
    cut = answer("")
    cut.characters = 5
    stream = call(answer=cut, asked=True, stream=True)
    end = stream.terminal(Interrupted, "client_left", "", content=False, now=11)
    assert (end.prompt_tokens, end.completion_tokens) == (900, 20)


def test_the_embedding_of_the_question_counts() -> None:
    end = call(answer=answer(""), embedded=9).terminal(
        Completion, "abstained", "", content=True, now=11
    )
    assert end.spend == {"site": 9, "user:s-1": 9}


def test_a_row_of_the_history_opens_with_the_key_of_its_request_only() -> None:
    made = call(answer=answer(), conversation=str(uuid.UUID(int=5)), passages=[passage(1)])
    row = made.row(7, 1_000.0)
    key = ContentKey(b"k" * 32)
    assert key.decrypt("question", row.question) == QUESTION
    assert key.decrypt("answer", row.answer) == "Trois mois."
    assert (row.owner, row.record, row.label) == ("s-1", 7, 1)
    assert row.passages[0]["title"] == "Note"


def test_the_end_of_an_answer_says_what_it_rests_on() -> None:
    inert = Inert(2)
    made = call(answer=answer(inert=inert), outcome="answer", passages=[passage(1), passage(2)])
    made.terms = Terms("chat", 1, 0.2, ("notes",), 1, 1, "", RESERVE)
    inert.push("Oui [2].", last=True)
    last = json.loads(made.ending(12, "leaf", passages=False))
    assert last == {
        "citations": [2], "outcome": "answer", "grounded": True, "label": 1,
        "receipt": {"index": 12, "leaf": "leaf"},
    }  # fmt: skip
    whole = json.loads(made.ending(12, "leaf", passages=True))
    assert [p["n"] for p in whole["passages"]] == [1, 2]
    assert json.loads(made.first())["passages"] == whole["passages"]


def test_an_answer_of_a_model_alone_says_so() -> None:
    last = json.loads(call(answer=answer()).ending(1, "leaf", passages=True))
    assert last["grounded"] is False
    assert "passages" not in last


@pytest.mark.parametrize(("waited", "overhead"), [(0.0, b"2000.00"), (1.5, b"500.00")])
def test_the_time_of_the_engine_is_not_ours(waited: float, overhead: bytes) -> None:
    headers = dict(call(waited=waited).headers(3, "leaf", 12.0))
    assert headers[b"x-casemate-overhead-ms"] == overhead
    assert headers[b"x-casemate-receipt"] == b"3; leaf=leaf"

from datetime import date
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from appliance.rag import retrieve as module
from appliance.rag.retrieve import (
    Near,
    Passage,
    Place,
    UnknownCollectionError,
    public,
    retrieve,
)
from tests.rag.library import ALICE, Book, declare, direction, put, transaction

PLACE = Place(3, "Durée", 10, 20, paged=True)


@pytest.fixture
def gateway(worker_database: str, gateway_database: str) -> str:
    async def fill(conn: AsyncConnection) -> None:
        for slug in ("rh", "notes"):
            await declare(conn, slug, 1, rh=True)
        await put(
            conn,
            Book("rh", "A", ["Le chat dort.", "Le chien."], [direction(1), direction(0, 1)]),
        )
        await put(conn, Book("notes", "B", ["Un chat gris."], [direction(1)]))

    transaction(worker_database, None, fill)
    return gateway_database


def ask(dsn: str, slugs: list[str], near: Near | None = None, k: int = 8) -> list[Passage]:
    return transaction(dsn, ALICE, lambda c: retrieve(c, "chat", slugs, k, near))


def test_the_collections_that_were_named_are_searched(gateway: str) -> None:
    assert {p.collection for p in ask(gateway, ["rh"])} == {"rh"}
    assert {p.collection for p in ask(gateway, ["notes", "rh", "rh"])} == {"rh", "notes"}


@pytest.mark.parametrize(
    "slugs", [[], ["absente"], ["rh", "absente"], ["RH"], [""], ["%"], ["r\0h"]]
)
def test_a_collection_that_is_not_there_is_an_error(gateway: str, slugs: list[str]) -> None:
    with pytest.raises(UnknownCollectionError):
        ask(gateway, slugs)


def test_a_question_with_a_character_that_the_database_refuses_is_searched(
    gateway: str,
) -> None:
    found = transaction(gateway, ALICE, lambda c: retrieve(c, "\0chat\0", ["rh"]))
    assert [p.body for p in found] == [p.body for p in ask(gateway, ["rh"])]


def test_no_more_than_k_passages_come_back_best_first(gateway: str) -> None:
    near = Near(direction(1), 0.2)
    found = ask(gateway, ["rh", "notes"], near)
    assert len(found) == 3
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert ask(gateway, ["rh", "notes"], near, k=2) == found[:2]


def test_the_length_of_the_vector_of_the_question_does_not_count(gateway: str) -> None:
    one = ask(gateway, ["rh"], Near(direction(1, 1), 0.2))
    ten = ask(gateway, ["rh"], Near([10 * v for v in direction(1, 1)], 0.2))
    assert [p.id for p in one] == [p.id for p in ten]
    assert [p.score for p in one] == pytest.approx([p.score for p in ten], abs=1e-3)


def test_a_vector_without_direction_is_no_vector(gateway: str) -> None:
    assert ask(gateway, ["rh"], Near([0.0] * 384, 0.2)) == ask(gateway, ["rh"])


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (PLACE, "p. 3 · Durée"),
        (Place(3, "", 0, 1, paged=True), "p. 3"),
        (Place(3, "Durée", 0, 1, paged=False), "Durée"),
        (Place(3, "", 0, 1, paged=False), ""),
    ],
)
def test_a_place_is_said_as_a_reader_of_the_original_knows_it(place: Place, text: str) -> None:
    assert place.text == text


def test_what_the_api_shows_holds_ranks_and_neither_scores_nor_text() -> None:
    passage = Passage(
        uuid4(),
        uuid4(),
        "rh",
        "A",
        PLACE,
        1,
        date(2026, 3, 1),
        "in_force",
        "corps",
        0.7,
        3.2,
        0.1,
    )
    (shown,) = public([passage])
    assert shown == {
        "n": 1,
        "passage": str(passage.id),
        "document": str(passage.document),
        "title": "A",
        "place": {"page": 3, "section": "Durée", "start": 10, "end": 20},
        "label": 1,
        "dated": "2026-03-01",
        "state": "in_force",
    }
    assert module.PASSAGES == 8

"""The history in the database: each sees their own rows, and what they may still read."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import AsyncConnection

from appliance.console import store
from appliance.gateway.store import ContentRow, add_content
from appliance.identity.principal import Principal
from appliance.identity.store import act_as
from tests.rag.library import declare

FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)


def somebody(subject: str, clearance: int = 2) -> Principal:
    return Principal(
        subject, subject, frozenset(), frozenset(), ("/equipes/methodes",), clearance
    )


def row(number: int, **changes: Any) -> ContentRow:
    values: dict[str, Any] = {
        "request": f"request-{number:012}", "record": number, "owner": "clara", "key": "",
        "conversation": str(FIRST), "at": 1_000_000.0 + number, "model": "extraits", "label": 1,
        "collections": ("notes",), "outcome": "answer", "question": b"cQ==", "answer": b"YQ==",
        "passages": [{"n": 1, "document": "d1", "passage": "p1"}], "citations": [1],
    }  # fmt: skip
    return ContentRow(**(values | changes))


@pytest.fixture
def rows(gateway_database: str, worker_database: str) -> None:
    async def work() -> None:
        async with await AsyncConnection.connect(worker_database) as conn:
            await declare(conn, "notes", 1, methodes=True)
            await declare(conn, "secret", 1, direction=True)
        async with await AsyncConnection.connect(gateway_database) as conn:
            await add_content(
                conn,
                [
                    row(1),
                    row(2, label=2, outcome="none", citations=[]),
                    row(3, conversation=str(SECOND)),
                    row(4, owner="bob", conversation=str(uuid.UUID(int=3))),
                    row(5, collections=("secret",), conversation=str(uuid.UUID(int=4))),
                    row(6, conversation=None, citations=[]),
                ],
            )

    asyncio.run(work())


def read(dsn: str, caller: Principal, ask: Any) -> Any:
    async def work() -> Any:
        async with await AsyncConnection.connect(dsn) as conn:
            await act_as(conn, caller)
            return await ask(conn)

    return asyncio.run(work())


@pytest.mark.usefixtures("rows")
def test_conversations_are_ones_own_latest_first(console_database: str) -> None:
    found = read(console_database, somebody("clara"), lambda c: store.list_conversations(c, 10))
    assert [(r.conversation, r.count, r.label, r.record) for r in found] == [
        (SECOND, 1, 1, 3),
        (FIRST, 2, 2, 1),
    ]
    before = datetime.fromtimestamp(1_000_003, UTC)
    older = read(
        console_database, somebody("clara"), lambda c: store.list_conversations(c, 10, before)
    )
    assert [r.conversation for r in older] == [FIRST]


@pytest.mark.usefixtures("rows")
def test_a_conversation_is_in_the_order_it_was_asked(console_database: str) -> None:
    def ask(conn: AsyncConnection) -> Any:
        return store.read_conversation(conn, FIRST)

    assert [r.record for r in read(console_database, somebody("clara"), ask)] == [1, 2]
    assert read(console_database, somebody("bob"), ask) == []


@pytest.mark.usefixtures("rows")
def test_who_lost_the_clearance_or_the_group_does_not_see_the_answer_any_more(
    console_database: str,
) -> None:
    lower = somebody("clara", clearance=1)
    found = read(console_database, lower, lambda c: store.read_conversation(c, FIRST))
    assert [r.record for r in found] == [1]
    assert read(console_database, lower, lambda c: store.find_by_record(c, 2)) is None
    assert read(console_database, lower, lambda c: store.find_by_record(c, 5)) is None
    moved = Principal("clara", "clara", frozenset(), frozenset(), (), 2)
    assert read(console_database, moved, lambda c: store.read_conversation(c, FIRST)) == []


@pytest.mark.usefixtures("rows")
def test_a_record_finds_its_question(console_database: str) -> None:
    found = read(console_database, somebody("clara"), lambda c: store.find_by_record(c, 3))
    assert (found.request, found.conversation, found.citations) == (row(3).request, SECOND, [1])


@pytest.mark.usefixtures("rows")
def test_the_latest_of_each_outcome_names_what_it_cites_first(console_database: str) -> None:
    found = {r.outcome: r for r in read(console_database, somebody("clara"), store.find_latest)}
    assert (found["answer"].record, found["answer"].document, found["answer"].passage) == (
        3,
        "d1",
        "p1",
    )
    assert (found["none"].record, found["none"].document) == (2, None)

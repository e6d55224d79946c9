"""A working copy for tests: leaves of a log that is written here, rows put in as served."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from psycopg import AsyncConnection

from appliance.audit.event import Event, Kind, fact
from appliance.audit.index import store
from appliance.audit.index.row import read
from tests.audit.logs import completion, event_id, intent, leaves

T = TypeVar("T")
ALICE, BOB = "sub-of-alice", "sub-of-bob"


def as_indexer(database: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run work in one transaction."""

    async def run() -> T:
        async with await AsyncConnection.connect(database) as conn:
            return await work(conn)

    return asyncio.run(run())


def put(database: str, stored: Sequence[bytes]) -> None:
    """Append leaves to the side that serves."""

    async def work(conn: AsyncConnection) -> None:
        side = await store.read_side(conn, serving=True)
        await store.add(conn, side, [read(one) for one in stored])

    as_indexer(database, work)


def events() -> list[Event]:
    """Return nine events of two people: sign-ins, a request, a refusal, a search."""
    return [
        fact(Kind.AUTH_LOGIN, ALICE, event_id(1, "l"), name="a.alice"),
        fact(Kind.AUTH_LOGIN, BOB, event_id(2, "l"), name="b.bob"),
        intent(1),
        fact(Kind.RAG_RETRIEVE, "sub-of-agent", event_id(3, "q"), request=event_id(1, "r")),
        completion(1),
        fact(Kind.AUTHZ_DENIED, ALICE, event_id(4, "d"), reason="CM-DRT-01"),
        fact(Kind.RAG_OPEN, ALICE, event_id(5, "o"), document="Note-12"),
        fact(Kind.RAG_OPEN, BOB, event_id(6, "o"), document="Note-12"),
        fact(Kind.AUDIT_SEARCH, BOB, event_id(7, "s"), page="journal"),
    ]


def stored() -> list[bytes]:
    return leaves(events())

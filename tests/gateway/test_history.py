"""History of the owners: written behind, by owner, opened with the sealed key only."""

import asyncio
import json
import uuid

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from appliance.audit.client import RecorderClient
from appliance.audit.content import open_sealed
from tests.gateway.engine import engine
from tests.gateway.stand import Json, Site, calls, eventually, gateway

CONVERSATION = str(uuid.UUID(int=77))


def rows_of(database: str, subject: str, clearance: int = 2) -> list[Json]:
    """Return what the console sees in a transaction of `subject`."""
    with psycopg.connect(database) as conn:
        conn.execute(
            "SELECT set_config('app.subject', %s, true), set_config('app.clearance', %s, true),"
            " set_config('app.groups', '[]', true)",
            [subject, str(clearance)],
        )
        rows = conn.cursor(row_factory=dict_row)
        return rows.execute("SELECT * FROM content ORDER BY record").fetchall()


async def written(database: str, subject: str, count: int) -> list[Json]:
    async def there() -> bool:
        return len(rows_of(database, subject)) == count

    await eventually(there)
    return rows_of(database, subject)


def test_an_answer_is_in_its_owners_history_and_nobody_elses(
    site: Site, console_database: str
) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            await ana.chat("Où est le plan ?", casemate={"conversation": CONVERSATION})
            await ana.as_("eve").stream("Et ailleurs ?")
            (row,) = await written(console_database, "ana", 1)
            assert str(row["conversation"]) == CONVERSATION
            assert b"plan" not in bytes(row["question"])
            reader = RecorderClient(site.log.socket, "test")
            await reader.connect()
            key = open_sealed(site.history_key, await reader.sealed(row["record"]))
            await reader.close()
            assert key.decrypt("question", bytes(row["question"])) == "Où est le plan ?"
            assert key.decrypt("answer", bytes(row["answer"])) == chat.text
            assert len(await written(console_database, "eve", 1)) == 1
            assert rows_of(console_database, "") == []

    asyncio.run(main())


def test_without_a_database_answers_go_on_and_the_records_say_that_nothing_is_kept(
    site: Site, owner_database: str, console_database: str
) -> None:
    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            await ana.chat()
            await written(console_database, "ana", 1)
            set_connections(owner_database, allowed=False)
            assert (await ana.chat())[0] == 200  # the pool finds out with this one

            async def says(content: str) -> bool:
                status, _, _ = await ana.chat()
                assert status == 200
                return bool((await calls(site))[-1]["content"] == content)

            await eventually(lambda: says("none"))
            assert (await ana.get("/health"))[1]["database"] == "away"
            grounded = await ana.chat(casemate={"collections": ["notes"]})
            assert (grounded[0], grounded[1]["error"]["code"]) == (503, "CM-DOC-05")
            set_connections(owner_database, allowed=True)
            await eventually(lambda: says("sealed"), 30)
            ends = [e for e in await calls(site) if e.get("content") == "sealed"]
            await written(console_database, "ana", len(ends))

    asyncio.run(main())


def set_connections(database: str, *, allowed: bool) -> None:
    """Let the gateway's role connect, or end its connections and refuse new ones."""
    server = make_conninfo(database, dbname="postgres", user="postgres")
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"ALTER ROLE casemate_gateway {'LOGIN' if allowed else 'NOLOGIN'}")
        if not allowed:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'casemate_gateway'"
            )


@pytest.fixture(autouse=True)
def _connections_again(owner_database: str) -> object:
    yield
    set_connections(owner_database, allowed=True)


def test_a_worker_that_ends_writes_what_waits(site: Site, console_database: str) -> None:
    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            await asyncio.gather(*(ana.chat() for _ in range(30)))
        assert len(rows_of(console_database, "ana")) == 30

    asyncio.run(main())


def test_an_embedding_and_an_empty_answer_are_not_kept(
    site: Site, console_database: str
) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, engine(site.embedder), gateway(site) as ana:
            await ana.post("/v1/embeddings", {"model": "vecteurs", "input": "x"})
            chat.words = []
            await ana.chat()
            assert [e["content"] for e in await calls(site) if "content" in e] == ["none"] * 2
        assert rows_of(console_database, "ana") == []

    asyncio.run(main())


def test_the_row_of_an_answer_is_json_that_postgresql_reads(
    site: Site, console_database: str
) -> None:
    """Quotes, other scripts and control characters are inside the ciphertext; names are not."""

    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            odd = ana.as_('ana"\\é\u2028')
            await odd.chat("\x07\x00 \u2028 \"'\\ 🙂")
            (row,) = await written(console_database, 'ana"\\é\u2028', 1)
            assert json.dumps(row["passages"]) == "[]"

    asyncio.run(main())

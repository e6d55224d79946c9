from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg_pool import AsyncConnectionPool

from appliance.db.pool import Connection, Pool


@pytest.fixture
def app(gateway_database: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Pool]]:
        pool: Pool = AsyncConnectionPool(gateway_database, min_size=1, open=False)
        async with pool:
            yield {"pool": pool}

    return FastAPI(lifespan=lifespan)


@pytest.fixture(autouse=True)
def tables(owner_database: str) -> None:
    with psycopg.connect(owner_database) as conn:
        conn.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        conn.execute(
            "CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
        )
        conn.execute("GRANT INSERT ON parent, child TO casemate_gateway")


def rows(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as conn:
        return conn.execute(f"SELECT FROM {table}".encode()).rowcount


def test_a_failed_commit_is_not_answered_with_success(app: FastAPI) -> None:
    @app.post("/orphan")
    async def orphan(conn: Connection) -> str:
        await conn.execute("INSERT INTO child VALUES (1)")  # fails at COMMIT only
        return "stored"

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/orphan").status_code == 500


def test_what_was_answered_with_success_is_there(app: FastAPI, owner_database: str) -> None:
    @app.post("/parent")
    async def parent(conn: Connection) -> str:
        await conn.execute("INSERT INTO parent VALUES (1)")
        return "stored"

    with TestClient(app) as client:
        assert client.post("/parent").json() == "stored"
        assert rows(owner_database, "parent") == 1


def test_a_request_that_raises_leaves_nothing(app: FastAPI, owner_database: str) -> None:
    @app.post("/broken")
    async def broken(conn: Connection) -> str:
        await conn.execute("INSERT INTO parent VALUES (2)")
        raise RuntimeError

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/broken").status_code == 500
        assert rows(owner_database, "parent") == 0

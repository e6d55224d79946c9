import asyncio
from pathlib import Path

import psycopg
import pytest

from appliance.audit.archive import Archive
from appliance.audit.index import reconcile
from appliance.audit.index.row import read
from appliance.settings import RecorderSettings
from tests.audit.index.copies import put
from tests.audit.index.test_indexer import edit, fill
from tests.recording import running

COUNT = reconcile.BATCH + 20


@pytest.fixture
def log(recorder_settings: RecorderSettings) -> Path:
    with running(recorder_settings):
        fill(recorder_settings, COUNT)
    return recorder_settings.directory


def found(database: str, log: Path) -> reconcile.Reconciled:
    async def work() -> reconcile.Reconciled:
        async with await psycopg.AsyncConnection.connect(database) as conn:
            return await reconcile.reconcile(conn, log)

    return asyncio.run(work())


def test_the_copy_is_compared_with_the_files_and_the_edited_row_is_named(
    log: Path, indexer_database: str, server: str
) -> None:
    leaves = [row.idx for row in reconcile.rows_of(log, 0)]
    stored = list(Archive(log).journal(0))
    put(indexer_database, [one.leaf for one in stored[:-1]])

    same = found(indexer_database, log)
    assert same == reconcile.Reconciled(len(leaves) - 1, 1, None)

    edits = (
        ("actor", 1_030, "UPDATE audit.event SET actor = 'x' WHERE idx = 1030"),
        ("digest", 900, "UPDATE audit.event SET digest = sha256('x') WHERE idx = 900"),
        ("object", 17, "UPDATE audit.event SET object = 'x' WHERE idx = 17"),
    )
    for column, place, statement in edits:
        edit(server, statement)
        wrong = found(indexer_database, log).difference
        assert wrong is not None
        assert (wrong.idx, wrong.columns) == (place, (column,))

    edit(server, "DELETE FROM audit.event WHERE idx = 3")
    wrong = found(indexer_database, log).difference
    assert wrong is not None
    assert (wrong.idx, wrong.columns) == (3, ("missing",))
    with psycopg.connect(indexer_database) as conn:
        kept = conn.execute("SELECT differs FROM audit.comparison ORDER BY at").fetchall()
    assert [differs for (differs,) in kept] == [None, 1_030, 900, 17, 3]


def test_a_row_beyond_the_log_is_named(log: Path, indexer_database: str, server: str) -> None:
    put(indexer_database, [one.leaf for one in Archive(log).journal(0)])
    edit(
        server,
        """
        INSERT INTO audit.event SELECT side, 9999, at, subject, type, outcome, code, actor,
            request, object, leaf_hash, digest FROM audit.event WHERE idx = 0
        """,
    )
    wrong = found(indexer_database, log).difference
    assert wrong is not None
    assert (wrong.idx, wrong.columns) == (9999, ("surplus",))


def test_rows_are_read_from_any_index_on(log: Path) -> None:
    stored = list(Archive(log).journal(0))
    assert next(reconcile.rows_of(log, 1_025)) == read(stored[1_025].leaf)

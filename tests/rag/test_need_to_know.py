"""Need to know, as each process's own role; and mutants, each caught by a named check."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from appliance.identity import store as identity
from appliance.identity.principal import Principal
from appliance.rag import documents, retrieve, store
from appliance.rag.objects import Objects
from tests.rag import need_to_know as checks
from tests.rag.library import transaction

Check = Callable[[checks.Site], None]


@pytest.fixture
def site(
    worker_database: str,
    owner_database: str,
    gateway_database: str,
    console_database: str,
    tmp_path: Path,
) -> checks.Site:
    hidden, own = transaction(worker_database, None, checks.fill)
    objects = Objects(tmp_path / "objects", b"k" * 32)
    return checks.Site(
        worker_database,
        owner_database,
        gateway_database,
        console_database,
        objects,
        hidden,
        own,
    )


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__[6:])
def test_need_to_know(site: checks.Site, check: Check) -> None:
    check(site)


SEARCH = """
    DO $$ DECLARE d text := pg_get_functiondef('{name}'::regproc); BEGIN
      EXECUTE replace(d, '{old}', '{new}');
      IF replace(d, '{old}', '{new}') = d THEN RAISE 'the mutant changes nothing'; END IF;
    END $$
"""

# What is broken, in SQL of the owner or a superuser; and the check that must see it.
MUTANTS: dict[str, tuple[str, Check]] = {
    "passages without row security": (
        "ALTER TABLE passage DISABLE ROW LEVEL SECURITY",
        checks.check_rows,
    ),
    "documents without row security": (
        "ALTER TABLE document DISABLE ROW LEVEL SECURITY",
        checks.check_rows,
    ),
    "page texts without row security": (
        "ALTER TABLE document_page DISABLE ROW LEVEL SECURITY",
        checks.check_rows,
    ),
    "vectors without a policy": (
        "CREATE POLICY all_rows ON passage_vector FOR SELECT TO casemate_reader USING (true)",
        checks.check_rows,
    ),
    "postings of everybody": (
        "CREATE POLICY all_rows ON posting_block FOR SELECT TO casemate_reader USING (true)",
        checks.check_scores_do_not_move,
    ),
    "counts of everybody": (
        "CREATE POLICY all_rows ON class_count FOR SELECT TO casemate_reader USING (true)",
        checks.check_scores_do_not_move,
    ),
    "weights without row security": (
        "ALTER TABLE passage_lex DISABLE ROW LEVEL SECURITY",
        checks.check_every_table_has_a_policy,
    ),
    "names of collections in the statistics": (
        "ALTER TABLE collection DISABLE ROW LEVEL SECURITY",
        checks.check_statistics_are_hidden,
    ),
    "jobs of everybody": (
        "ALTER TABLE jobs.procrastinate_jobs DISABLE ROW LEVEL SECURITY",
        checks.check_rows,
    ),
    "row security not forced": (
        "ALTER TABLE passage NO FORCE ROW LEVEL SECURITY",
        checks.check_owner_sees_nothing,
    ),
    "clearance not compared": (
        """ALTER POLICY need_to_know ON collection
           USING (id IN (SELECT g.collection_id FROM collection_group g))""",
        checks.check_counts,
    ),
    "group not compared": (
        "ALTER POLICY need_to_know ON collection USING (label <= app_clearance())",
        checks.check_rows,
    ),
    "groups of everybody": (
        "ALTER POLICY need_to_know ON collection_group USING (true)",
        checks.check_groups,
    ),
    "no setting is full clearance": (
        SEARCH.format(name="app_clearance", old="ELSE ''-1''::integer", new="ELSE 9"),
        checks.check_nobody_sees_nothing,
    ),
    "search as its owner": (
        "ALTER FUNCTION hybrid_search SECURITY DEFINER",
        checks.check_functions_and_roles,
    ),
    "collections asked for left out of the words": (
        SEARCH.format(name="bm25_search", old="AND b.class_id = ANY (classes)", new=""),
        checks.check_scope,
    ),
    "collections asked for left out of the vectors": (
        SEARCH.format(name="hybrid_search", old="WHERE v.class_id = ANY (classes)", new=""),
        checks.check_scope,
    ),
    "who reads writes": (
        """ALTER POLICY deposit ON document WITH CHECK (owner = current_subject()
           AND collection_id IN (SELECT c.id FROM collection c))""",
        checks.check_forged_rows,
    ),
    "deposits in the name of another": (
        """ALTER POLICY deposit ON document
           WITH CHECK (collection_id = ANY ((SELECT writable_collection())::int[]))""",
        checks.check_forged_rows,
    ),
    "writing not asked of the group": (
        SEARCH.format(name="writable_collection", old="WHERE g.can_write", new=""),
        checks.check_writing,
    ),
    "keys granted to the gateway": (
        "GRANT SELECT ON document TO casemate_reader",
        checks.check_gateway_reads_no_key,
    ),
    "classes looked up where the session says": (
        SEARCH.format(name="visible_class", old="public.passage_class", new="passage_class"),
        checks.check_temporary_tables_change_nothing,
    ),
    "a view that its owner reads": (
        "CREATE VIEW shelf AS SELECT * FROM passage; GRANT SELECT ON shelf TO casemate_reader",
        checks.check_every_table_has_a_policy,
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_the_database_is_caught(
    server: str, site: checks.Site, mutant: str
) -> None:
    statement, check = MUTANTS[mutant]
    superuser = make_conninfo(server, dbname=conninfo_to_dict(site.owner)["dbname"])
    with psycopg.connect(superuser) as conn:
        conn.execute(statement.encode())
    with pytest.raises(AssertionError):
        check(site)


async def _act_as_nobody(conn: AsyncConnection, caller: Principal) -> None:
    del conn, caller


async def _act_as_for_the_session(conn: AsyncConnection, caller: Principal) -> None:
    await conn.execute(
        """
        SELECT set_config('app.subject', %s, false), set_config('app.clearance', %s, false),
               set_config('app.groups', %s, false)
        """,
        [caller.subject, str(caller.clearance), '["/equipes/rh"]'],
    )


def _cached(found: Callable[..., Any]) -> Callable[..., Any]:
    """Remember answers by question and collections, without the asker."""
    kept: dict[object, Any] = {}

    @functools.wraps(found)
    async def remember(
        conn: AsyncConnection, question: str, slugs: list[str], *rest: Any
    ) -> Any:
        key = question
        if key not in kept:
            kept[key] = await found(conn, question, slugs, *rest)
        return kept[key]

    return remember


async def _skipping(conn: AsyncConnection, question: str, slugs: list[str], *_: Any) -> Any:
    """Search what there is of the collections, and say nothing of the others."""
    found = await store.find_classes(conn, slugs)
    classes = [one for ids in found.values() for one in ids]
    rows = await store.search(conn, question, classes, 8, None)
    return [retrieve._passage(row) for row in rows]


class _HiddenDocumentError(documents.UnknownDocumentError):
    """Says more than it should."""

    def __init__(self) -> None:
        Exception.__init__(self, "no such document for you")


CODE_MUTANTS: dict[str, tuple[object, str, object, Check]] = {
    "the principal is not set": (
        identity, "act_as", _act_as_nobody, checks.check_rows,
    ),
    "the principal outlives the transaction": (
        identity, "act_as", _act_as_for_the_session,
        checks.check_settings_end_with_the_transaction,
    ),
    "answers are cached without the asker": (
        retrieve, "retrieve", _cached(retrieve.retrieve), checks.check_search,
    ),
    "hidden collections are passed over": (
        retrieve, "retrieve", _skipping, checks.check_hidden_equals_absent,
    ),
    "a deletion of what is hidden is refused in other words": (
        documents, "delete_document", None, checks.check_hidden_equals_absent,
    ),
}  # fmt: skip


@pytest.mark.parametrize("mutant", CODE_MUTANTS)
def test_a_mutant_of_the_code_is_caught(
    site: checks.Site, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    module, name, broken, check = CODE_MUTANTS[mutant]
    if broken is None:
        delete = documents.delete_document

        async def tell(conn: AsyncConnection, document: Any) -> None:
            try:
                await delete(conn, document)
            except documents.UnknownDocumentError:
                raise (
                    _HiddenDocumentError
                    if document == site.hidden
                    else documents.UnknownDocumentError
                ) from None

        broken = tell
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError):
        check(site)

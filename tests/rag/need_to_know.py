"""Checks of need to know, each a function that raises AssertionError when somebody learns of
what is hidden. `test_need_to_know.py` runs them on the product, then on mutants of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from appliance.errors import ApplianceError
from appliance.identity import store as identity
from appliance.identity.principal import Principal
from appliance.rag import documents, retrieve, store
from appliance.rag.deposit import deposit
from appliance.rag.objects import Objects
from tests.rag.library import ALICE, BOB, Book, declare, direction, opening, principal, put

CAROL = principal("carol", ("/equipes/rh", "/equipes/dsi"), 0)  # no clearance
DAVE = principal("dave", ("/equipes/inconnue",), 9)  # no group
PEOPLE = {ALICE: {"rh", "commun"}, BOB: {"dsi", "commun"}, CAROL: {"commun"}, DAVE: set[str]()}
SLUGS = ["rh", "dsi", "commun"]

# Table to the collection of each of its rows. `casemate_worker` sees all of them.
COLLECTION_OF = {
    "public.collection": "SELECT t.ctid, t.slug FROM collection t",
    "public.collection_group": """SELECT t.ctid, c.slug FROM collection_group t
                                  JOIN collection c ON c.id = t.collection_id""",
    "public.passage_class": """SELECT t.ctid, c.slug FROM passage_class t
                               JOIN collection c ON c.id = t.collection_id""",
    "public.document": """SELECT t.id, c.slug FROM document t
                          JOIN collection c ON c.id = t.collection_id""",
    **{
        f"public.{table}": f"""SELECT t.ctid, c.slug FROM {table} t
            JOIN passage_class p ON p.id = t.class_id
            JOIN collection c ON c.id = p.collection_id"""  # noqa: S608 - names of this file
        for table in (
            "document_page", "passage", "passage_lex", "posting_block", "class_count",
            "passage_vector",
        )
    },
    "jobs.procrastinate_jobs": """SELECT t.ctid, c.slug FROM jobs.procrastinate_jobs t
        JOIN document d ON d.public_id::text = t.args ->> 'document'
        JOIN collection c ON c.id = d.collection_id""",
    "jobs.procrastinate_events": """SELECT t.ctid, c.slug FROM jobs.procrastinate_events t
        JOIN jobs.procrastinate_jobs j ON j.id = t.job_id
        JOIN document d ON d.public_id::text = j.args ->> 'document'
        JOIN collection c ON c.id = d.collection_id""",
}  # fmt: skip
# Tables of other domains hold no document: their own tests look after them.
ELSEWHERE = {
    "public.application_key", "public.person", "public.revocation", "public.console_session",
    "public.content", "audit.event", "audit.slice", "audit.side", "audit.comparison",
    "audit.export",
    "public.elimination",  # ranges of records, counts and dates: the page asks for the right
}  # fmt: skip
WITHOUT_POLICY = {"public.lex_param"}  # three constants

Work = Callable[[AsyncConnection], Awaitable[object]]


@dataclass(frozen=True)
class Site:
    """A database with three collections, and the roles that reach it."""

    worker: str
    owner: str
    gateway: str
    console: str
    objects: Objects
    hidden: uuid.UUID  # a document that Alice may not read
    own: uuid.UUID  # one that she may

    @property
    def readers(self) -> list[str]:
        return [self.gateway, self.console]


async def fill(conn: AsyncConnection) -> tuple[uuid.UUID, uuid.UUID]:
    """Put the three collections in; return a document of `dsi` and one of `rh`."""
    await declare(conn, "rh", 1, rh=True)
    await declare(conn, "dsi", 2, dsi=True)
    await declare(conn, "commun", 0, rh=False, dsi=True)
    books = [
        Book("rh", "Télétravail", ["Le télétravail est limité à deux jours."], [direction(1)]),
        Book("rh", "Congés", ["Les congés annuels durent cinq semaines."], [direction(0, 1)]),
        Book(
            "dsi", "Accès", ["Le code du télétravail secret est zircon."], [direction(1, 0.1)]
        ),
        Book("dsi", "Panne", ["Redémarrer le serveur zircon."], [direction(0, 0, 1)]),
        Book(
            "commun",
            "Cantine",
            ["La cantine ouvre à midi, même en télétravail."],
            [direction(0, 0.1, 1)],
        ),
    ]
    for book in books:
        await put(conn, book)
        await store.add_job(conn, "ingest", book.public_id)
    return books[2].public_id, books[0].public_id


def answer(dsn: str, caller: Principal, work: Work) -> object:
    """Return what a caller is told: a value, or code and text of the error."""

    async def run() -> object:
        async with await AsyncConnection.connect(dsn) as conn:
            await identity.act_as(conn, caller)
            try:
                return await work(conn)
            except (ApplianceError, psycopg.Error) as exc:
                return type(exc).__name__, getattr(exc, "code", ""), str(exc)

    return asyncio.run(run())


@contextmanager
def reading(dsn: str, caller: Principal | None) -> Iterator[psycopg.Connection]:
    """Lend a synchronous transaction of a caller."""

    async def settings() -> list[tuple[str, str]]:
        async with await AsyncConnection.connect(dsn) as conn:
            if caller is not None:
                await identity.act_as(conn, caller)
            names = ("app.subject", "app.clearance", "app.groups")
            found = await conn.execute(
                "SELECT " + ", ".join(f"current_setting('{n}', true)" for n in names)
            )
            return [
                (n, v or "") for n, v in zip(names, await found.fetchone() or (), strict=True)
            ]

    values = asyncio.run(settings())
    with psycopg.connect(dsn) as conn:
        for name, value in values:
            conn.execute("SELECT set_config(%s, %s, true)", [name, value])
        yield conn


def tables_of(dsn: str) -> set[str]:
    """Return the tables that a role may read a column of."""
    with psycopg.connect(dsn) as conn:
        found = conn.execute(
            """
            SELECT n.nspname || '.' || c.relname FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm') AND has_schema_privilege(n.oid, 'USAGE')
              AND n.nspname NOT IN ('pg_catalog', 'information_schema')
              AND has_any_column_privilege(c.oid, 'SELECT')
            """
        )
        return {name for (name,) in found}


def check_rows(site: Site) -> None:
    """No WHERE clause, principals switched on one pooled connection: own rows and no other."""
    with psycopg.connect(site.worker) as conn:
        of: dict[str, dict[object, str]] = {
            table: dict(conn.execute(query.encode())) for table, query in COLLECTION_OF.items()
        }

    async def switch(dsn: str) -> None:
        tables = tables_of(dsn) - ELSEWHERE - WITHOUT_POLICY
        async with AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False) as pool:
            for caller in (ALICE, BOB, CAROL, BOB, DAVE, ALICE):
                for table in sorted(tables):
                    name = sql.SQL(".").join(map(sql.Identifier, table.split(".")))
                    async with pool.connection() as conn:
                        await identity.act_as(conn, caller)
                        key = sql.Identifier("id" if table == "public.document" else "ctid")
                        seen = await conn.execute(
                            sql.SQL("SELECT {} FROM {}").format(key, name)
                        )
                        rows = {row for (row,) in await seen.fetchall()}
                    expected = {r for r, slug in of[table].items() if slug in PEOPLE[caller]}
                    if table == "public.collection_group":  # and of their own groups only
                        assert rows <= {r for r, s in of[table].items() if s in SLUGS}
                        continue
                    assert rows == expected, (caller.subject, table)

    for dsn in site.readers:
        asyncio.run(switch(dsn))


def check_groups(site: Site) -> None:
    """One sees the groups that one is in, whatever the collection."""
    for dsn in site.readers:
        for caller in PEOPLE:
            with reading(dsn, caller) as conn:
                seen = {g for (g,) in conn.execute("SELECT group_path FROM collection_group")}
                assert seen <= set(caller.groups)


def check_every_table_has_a_policy(site: Site) -> None:
    """Row security is on, and forced, on each table that a reading role can reach."""
    for dsn in site.readers:
        with psycopg.connect(dsn) as conn:
            for table in tables_of(dsn) - WITHOUT_POLICY:
                flags = conn.execute(
                    """
                    SELECT relrowsecurity, relforcerowsecurity FROM pg_class
                    WHERE oid = %s::regclass
                    """,
                    [table],
                ).fetchone()
                assert flags == (True, True), table


def check_owner_sees_nothing(site: Site) -> None:
    """The role that owns the tables is bound too."""
    with psycopg.connect(site.owner) as conn:
        for table in COLLECTION_OF:
            name = sql.SQL(".").join(map(sql.Identifier, table.split(".")))
            assert conn.execute(sql.SQL("SELECT FROM {}").format(name)).rowcount == 0, table


def check_nobody_sees_nothing(site: Site) -> None:
    """No settings, empty ones, garbage: no row, or a refusal, and never a row."""
    garbage = [
        "",
        "9",
        "{}",
        "null",
        "[",
        '["/equipes/rh"',
        "/equipes/rh",
        "{/equipes/rh}",
        "%",
    ]
    clearances = ["", "-1", "10", "9.0", " 9", "9\n", "neuf", "٩"]
    cases = [(c, '["/equipes/rh"]') for c in clearances] + [("9", g) for g in garbage]
    for dsn in site.readers:
        for table in COLLECTION_OF.keys() & tables_of(dsn) - {"public.collection_group"}:
            name = sql.SQL(".").join(map(sql.Identifier, table.split(".")))
            query = sql.SQL("SELECT FROM {}").format(name)
            with psycopg.connect(dsn) as conn:
                assert conn.execute(query).rowcount == 0, table
                conn.rollback()
                for clearance, groups in cases:
                    conn.execute("SELECT set_config('app.clearance', %s, true)", [clearance])
                    conn.execute("SELECT set_config('app.groups', %s, true)", [groups])
                    assert conn.execute(query).rowcount == 0, (table, clearance, groups)
                    conn.rollback()


def check_settings_end_with_the_transaction(site: Site) -> None:
    """The next user of a pooled connection is nobody."""

    async def run(dsn: str) -> None:
        async with await AsyncConnection.connect(dsn) as conn:
            await identity.act_as(conn, ALICE)
            await conn.commit()
            assert (await conn.execute("SELECT FROM passage")).rowcount == 0

    for dsn in site.readers:
        asyncio.run(run(dsn))


def check_search(site: Site) -> None:
    """Search finds what the asker may read, also when the asker names every class."""
    for dsn in site.readers:
        for caller in (ALICE, BOB, ALICE):
            for question in ("télétravail zircon", "cantine"):
                wanted = sorted(PEOPLE[caller])
                near = retrieve.Near(direction(1), 0.2)
                found = answer(
                    dsn,
                    caller,
                    lambda c, q=question, w=wanted, n=near: retrieve.retrieve(c, q, w, 8, n),  # type: ignore[misc]
                )
                assert isinstance(found, list), found
                assert {p.collection for p in found} <= PEOPLE[caller]
            with reading(dsn, caller) as conn:
                rows = conn.execute(
                    """
                    SELECT c.slug FROM hybrid_search('télétravail zircon cantine congés',
                      ARRAY(SELECT generate_series(1, 50)), %s::halfvec, 0.2, 50) s
                    LEFT JOIN passage p ON p.id = s.passage_id
                    LEFT JOIN document d ON d.id = p.document_id
                    LEFT JOIN collection c ON c.id = d.collection_id
                    """,
                    [store.vector_text(direction(1))],
                ).fetchall()
                assert {slug for (slug,) in rows} == PEOPLE[caller]


def check_scope(site: Site) -> None:
    """A search in one collection does not touch the others, even those one may read."""

    async def ask(conn: AsyncConnection) -> list[retrieve.Passage]:
        near = retrieve.Near(direction(1), 0.2)
        return await retrieve.retrieve(conn, "télétravail cantine", ["commun"], 8, near)

    for dsn in site.readers:
        found = answer(dsn, ALICE, ask)
        assert isinstance(found, list)
        assert {p.collection for p in found} == {"commun"}
        assert found == answer(dsn, CAROL, ask)  # who may read nothing else


def check_scores_do_not_move(site: Site) -> None:
    """Passages that are hidden change neither ids nor scores of what is found."""

    def ask() -> object:
        near = retrieve.Near(direction(1, 1), 0.2)
        question = "télétravail congés zircon cantine"
        return answer(
            site.gateway,
            ALICE,
            lambda c: retrieve.retrieve(c, question, ["rh", "commun"], 8, near),
        )

    def ask_all() -> object:
        with reading(site.gateway, ALICE) as conn:
            return conn.execute(
                """
                SELECT * FROM hybrid_search('télétravail congés zircon cantine',
                  ARRAY(SELECT generate_series(1, 50)), %s::halfvec, 0.2, 50)
                """,
                [store.vector_text(direction(1, 1))],
            ).fetchall()

    before, all_before = ask(), ask_all()
    assert isinstance(before, list)
    assert len(before) == 3

    async def add(conn: AsyncConnection) -> None:
        text = "Congés, cantine, télétravail et zircon encore."
        await put(conn, Book("dsi", "Caché", [text] * 40, [direction(1, 1)] * 40))

    async def run() -> None:
        async with await AsyncConnection.connect(site.worker) as conn:
            await add(conn)

    asyncio.run(run())
    assert ask() == before
    assert ask_all() == all_before


def check_hidden_equals_absent(site: Site) -> None:
    """A hidden collection or document and one that never was: one answer."""
    absent = uuid.uuid4()
    pairs: list[tuple[Work, Work]] = [
        (lambda c: retrieve.retrieve(c, "code", ["rh", "dsi"]),
         lambda c: retrieve.retrieve(c, "code", ["rh", "absente"])),
        (lambda c: retrieve.retrieve(c, "code", ["dsi"]),
         lambda c: retrieve.retrieve(c, "code", ["absente"])),
        (lambda c: documents.list_documents(c, "dsi"),
         lambda c: documents.list_documents(c, "absente")),
        (lambda c: documents.find_document(c, site.hidden),
         lambda c: documents.find_document(c, absent)),
        (lambda c: documents.page_of(c, site.hidden),
         lambda c: documents.page_of(c, absent)),
        (lambda c: documents.page_of(c, site.own, 1, _passage(site)),
         lambda c: documents.page_of(c, site.own, 1, absent)),
    ]  # fmt: skip
    changes: list[tuple[Work, Work]] = [
        (lambda c: documents.delete_document(c, site.hidden),
         lambda c: documents.delete_document(c, absent)),
        (lambda c: documents.relaunch_document(c, site.hidden),
         lambda c: documents.relaunch_document(c, absent)),
    ]  # fmt: skip
    asked = [(dsn, pair) for dsn in site.readers for pair in pairs]
    for dsn, (hidden, never) in [*asked, *((site.console, pair) for pair in changes)]:
        told = answer(dsn, ALICE, hidden)
        assert told == answer(dsn, ALICE, never)
        assert isinstance(told, tuple)
        assert told[1] == "CM-DOC-01"


def _passage(site: Site) -> uuid.UUID:
    """Return a passage that Alice may not read."""
    with psycopg.connect(site.worker) as conn:
        row = conn.execute(
            """
            SELECT p.public_id FROM passage p JOIN document d ON d.id = p.document_id
            WHERE d.public_id = %s
            """,
            [site.hidden],
        ).fetchone()
    assert row is not None
    return uuid.UUID(str(row[0]))


def check_counts(site: Site) -> None:
    """Lists and counts tell of one's own collections only."""
    for dsn in site.readers:
        for caller, slugs in PEOPLE.items():
            found = answer(dsn, caller, documents.visible_collections)
            assert isinstance(found, list)
            numbers = {c.slug: c.documents for c in found}
            assert numbers == {s: {"rh": 2, "dsi": 2, "commun": 1}[s] for s in slugs}


def check_writing(site: Site) -> None:
    """Who may read may not write for that reason; who may not read is told what is absent."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"Un texte."

    def put_in(caller: Principal, slug: str) -> object:
        begin = opening(site.console, caller)
        try:
            return asyncio.run(deposit(begin, site.objects, slug, "a.txt", chunks())).present
        except ApplianceError as exc:
            return exc.code

    assert put_in(ALICE, "commun") == "CM-DRT-01"
    assert put_in(ALICE, "dsi") == put_in(ALICE, "absente") == "CM-DOC-01"
    assert put_in(CAROL, "rh") == "CM-DOC-01"
    assert put_in(ALICE, "rh") is False
    for statement in (
        "UPDATE document SET progress = 'waiting', reason = NULL",
        "UPDATE document SET owner = 'alice'",
        "UPDATE collection_group SET can_write = true",
        "DELETE FROM passage",
        "DELETE FROM erasure",
        "DELETE FROM jobs.procrastinate_jobs",
    ):
        with reading(site.console, ALICE) as conn:
            try:
                assert conn.execute(statement).rowcount == 0, statement
            except psycopg.errors.InsufficientPrivilege:
                continue


def check_forged_rows(site: Site) -> None:
    """Rows in the name of another, or where one may not write, are refused."""
    new = """INSERT INTO document (collection_id, owner, name, title, size, content_id,
                                   wrapped_key)
             SELECT {}, {}, 'n', 't', 1, sha256('x'), 'k'"""
    job = """INSERT INTO jobs.procrastinate_jobs (queue_name, task_name, args)
             SELECT 'documents', {}, jsonb_build_object('document', {}::text)"""
    ids = "(SELECT id FROM collection WHERE slug = {})"
    commun, rh = (sql.SQL(ids).format(slug) for slug in ("commun", "rh"))
    forged = [
        sql.SQL(new).format(commun, "alice"),
        sql.SQL(new).format(rh, "bob"),
        sql.SQL(new).format(2, "alice"),
        sql.SQL(new).format(2000, "alice"),
        sql.SQL(job).format("ingest", str(uuid.uuid4())),
        sql.SQL(job).format("forget", str(site.hidden)),
        sql.SQL(job).format("other", str(site.own)),
    ]
    told = []
    for statement in forged:
        with reading(site.console, ALICE) as conn:
            try:
                done = conn.execute(statement).rowcount
            except psycopg.errors.InsufficientPrivilege as exc:
                told.append(str(exc).splitlines()[0])
                continue
            assert done == 0, statement
            raise AssertionError(statement)
    assert told[2] == told[3]  # a hidden collection and one that never was


def check_functions_and_roles(site: Site) -> None:
    """Nothing runs as anybody else, and no process owns or bypasses anything."""
    with psycopg.connect(site.owner) as conn:
        elevated = conn.execute(
            """
            SELECT p.oid::regprocedure::text FROM pg_proc p
            JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            """
        ).fetchall()
        assert elevated == []
        strong = conn.execute(
            """
            SELECT rolname FROM pg_roles WHERE rolname LIKE 'casemate%'
              AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)
            """
        ).fetchall()
        assert strong == []
        owned = conn.execute(
            """
            SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
            WHERE r.rolname IN ('casemate_gateway', 'casemate_console', 'casemate_worker',
                                'casemate_reader')
            """
        ).fetchall()
        assert owned == []


def check_gateway_reads_no_key(site: Site) -> None:
    """The process that faces people cannot open an original."""
    with reading(site.gateway, ALICE) as conn:
        for column in ("wrapped_key", "content_id"):
            try:
                conn.execute(sql.SQL("SELECT {} FROM document").format(sql.Identifier(column)))
            except psycopg.errors.InsufficientPrivilege:
                conn.rollback()
                continue
            raise AssertionError(column)


def check_statistics_are_hidden(site: Site) -> None:
    """Sampled values of tables under row security are shown to nobody."""
    with psycopg.connect(site.owner, autocommit=True) as conn:
        for table in COLLECTION_OF:
            conn.execute(
                sql.SQL("ANALYZE {}").format(
                    sql.SQL(".").join(map(sql.Identifier, table.split(".")))
                )
            )
    for dsn in [*site.readers, site.owner]:
        with psycopg.connect(dsn) as conn:
            seen = conn.execute(
                """
                SELECT schemaname || '.' || tablename FROM pg_stats
                WHERE schemaname IN ('public', 'jobs')
                """
            )
            assert {table for (table,) in seen} & COLLECTION_OF.keys() == set()


def check_temporary_tables_change_nothing(site: Site) -> None:
    """A temporary table in the place of a real one does not widen what is seen."""
    for dsn in site.readers:
        with reading(dsn, ALICE) as conn:
            conn.execute("CREATE TEMPORARY TABLE passage_class (id int, collection_id int)")
            conn.execute("INSERT INTO passage_class SELECT n, 1 FROM generate_series(1, 50) n")
            conn.execute(
                "CREATE TEMPORARY TABLE collection_group (collection_id int, can_write bool)"
            )
            conn.execute(
                "INSERT INTO collection_group SELECT n, true FROM generate_series(1, 50) n"
            )
            seen = {b for (b,) in conn.execute("SELECT body FROM passage")}
            assert not any("zircon" in body for body in seen)
            assert conn.execute("SELECT writable_collection()").fetchone() == ([1],)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]

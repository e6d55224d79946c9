import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.audit.client import RecorderClient, RecorderError
from appliance.audit.event import Fact
from appliance.identity.store import act_as
from appliance.rag import documents, ingest, sandbox, store
from appliance.rag.deposit import deposit
from appliance.rag.embed import AwayError, Embedder
from appliance.rag.objects import Objects
from appliance.rag.parsed import Answer, Reason
from appliance.rag.retrieve import retrieve
from appliance.rag.sandbox import KilledError
from tests.rag import samples
from tests.rag.library import ALICE, declare, opening, transaction
from tests.rag.parts import vector_of


class Log:
    """Keeps what was recorded; can be away."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.away = False

    async def append(self, fact: Fact) -> None:
        if self.away:
            raise RecorderError("away")
        self.facts.append(fact)


class Model:
    """Gives vectors, unless it is away."""

    def __init__(self) -> None:
        self.away_after = 10_000
        self.calls = 0

    async def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        self.calls += 1
        if self.calls > self.away_after:
            raise AwayError("away")
        return [None if "refusé" in text else vector_of(text) for text in texts]


class Workshop:
    """The worker's parts around a real database."""

    def __init__(self, dsn: str, console: str, folder: Path) -> None:
        self.dsn, self.console = dsn, console
        self.objects = Objects(folder, b"k" * 32)
        self.log, self.model = Log(), Model()
        transaction(dsn, None, lambda c: declare(c, "rh", 1, rh=True))

    def put(self, data: bytes, name: str = "a.txt") -> UUID:
        async def chunks() -> AsyncIterator[bytes]:
            yield data

        begin = opening(self.console, ALICE)
        return asyncio.run(deposit(begin, self.objects, "rh", name, chunks())).document

    def do(self, *works: Callable[[ingest.Tools], Any]) -> None:
        async def run() -> None:
            pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
                self.dsn, min_size=1, open=False
            )
            async with pool:
                recorder, model = cast(RecorderClient, self.log), cast(Embedder, self.model)
                tools = ingest.Tools(pool, self.objects, model, recorder)
                for work in works:
                    await work(tools)

        asyncio.run(run())

    def ingest(self, document: UUID, job: int = 1) -> None:
        self.do(lambda tools: ingest.ingest(tools, document, job))

    def embed(self, document: UUID) -> None:
        self.do(lambda tools: ingest.embed(tools, document))

    def state(self, document: UUID) -> tuple[str, str | None]:
        found = transaction(self.console, ALICE, lambda c: documents.find_document(c, document))
        return found.progress, found.reason

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.dsn) as conn:
            return conn.execute(query.encode()).fetchall()


@pytest.fixture
def workshop(worker_database: str, console_database: str, tmp_path: Path) -> Workshop:
    return Workshop(worker_database, console_database, tmp_path)


@pytest.mark.parametrize("kind", samples.FORMATS)
def test_a_source_opens_at_the_place(workshop: Workshop, kind: str) -> None:
    """For each format: the text inside the mark is the passage, and holds the sentence."""
    document = workshop.put(samples.FORMATS[kind](), f"guide.{kind}")
    workshop.ingest(document)
    workshop.embed(document)
    assert workshop.state(document) == ("ready", None)

    async def open_first(conn: AsyncConnection) -> None:
        found = (await retrieve(conn, "délai de recours notification", ["rh"]))[0]
        assert found.document == document
        page = await documents.page_of(conn, document, found.place.page, found.id)
        marked = page.text[page.start : page.end]
        assert marked == found.body
        assert samples.NEEDLE in " ".join(marked.split())
        assert (page.start, page.end) == (found.place.start, found.place.end)
        assert page.page == found.place.page == (2 if kind == "pdf" else 1)
        assert page.paged is (kind == "pdf")
        assert page.kind == kind
        if kind != "text":
            assert found.place.section == samples.SECTION
            assert found.title == samples.TITLE

    transaction(workshop.console, ALICE, open_first)


@pytest.mark.parametrize("kind", samples.FORMATS)
def test_each_passage_of_each_format_is_a_range_of_its_page(
    workshop: Workshop, kind: str
) -> None:
    workshop.ingest(workshop.put(samples.FORMATS[kind]()))
    found = workshop.rows(
        """
        SELECT substr(t.body, p.first_char + 1, p.past_char - p.first_char) = p.body
        FROM passage p JOIN document_page t USING (document_id, page)
        """
    )
    assert found
    assert set(found) == {(True,)}


def test_words_are_found_before_vectors_are_there(workshop: Workshop) -> None:
    document = workshop.put(samples.text())
    workshop.ingest(document)
    assert workshop.state(document) == ("embedding", None)
    found = transaction(workshop.console, ALICE, lambda c: retrieve(c, "recours", ["rh"]))
    assert samples.NEEDLE in found[0].body
    assert found[0].cosine is None
    assert [
        task for (task,) in workshop.rows("SELECT task_name FROM jobs.procrastinate_jobs")
    ] == [
        "ingest",
        "embed",
    ]


def test_it_is_recorded_before_it_is_found_and_once_for_a_job(workshop: Workshop) -> None:
    document = workshop.put(samples.text())
    workshop.log.away = True
    with pytest.raises(RecorderError):
        workshop.ingest(document)
    assert workshop.state(document) == ("parsing", None)
    assert workshop.rows("SELECT 1 FROM passage") == []
    workshop.log.away = False
    workshop.ingest(document, 7)
    (fact,) = workshop.log.facts
    assert fact.id == f"ingest-{document.hex}-7"
    assert (fact.actor, fact.label, fact.data["outcome"]) == ("alice", 1, "parsed")
    assert fact.data["passages"] == len(workshop.rows("SELECT 1 FROM passage"))
    assert "recours" not in str(fact)
    workshop.ingest(document, 8)  # done already
    assert len(workshop.log.facts) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(samples.pdf(password="x"), Reason.ENCRYPTED, id="encrypted"),
        pytest.param(samples.pdf_of_images(), Reason.NO_TEXT_LAYER, id="images"),
        pytest.param(b" \n ", Reason.EMPTY, id="blanks"),
        pytest.param(b"\x7fELF" + bytes(64), Reason.UNKNOWN_FORMAT, id="program"),
    ],
)
def test_a_document_that_cannot_be_used_says_why(
    workshop: Workshop, data: bytes, reason: Reason
) -> None:
    document = workshop.put(data)
    workshop.ingest(document)
    assert workshop.state(document) == ("failed", reason.value)
    assert [fact.data["outcome"] for fact in workshop.log.facts] == [reason.value]


def test_a_lost_original_is_said_to_be_lost(workshop: Workshop) -> None:
    document = workshop.put(samples.text())
    for path in workshop.objects.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    workshop.ingest(document)
    assert workshop.state(document) == ("failed", Reason.ORIGINAL.value)


@pytest.mark.parametrize("deaths", [1, 2, 3])
def test_a_parser_that_is_killed_is_tried_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    real, died = sandbox.parse, 0

    async def dying(data: bytes) -> Answer:
        nonlocal died
        died += 1
        if died <= deaths:
            raise KilledError
        return await real(data)

    monkeypatch.setattr(ingest, "parse", dying)
    document = workshop.put(samples.text())
    workshop.ingest(document)
    wanted = ("embedding", None) if deaths < 3 else ("failed", Reason.KILLED.value)
    assert workshop.state(document) == wanted


def test_a_failed_document_is_launched_again_on_demand(workshop: Workshop) -> None:
    document = workshop.put(samples.text())
    workshop.do(lambda tools: ingest.give_up(tools, document))
    assert workshop.state(document) == ("failed", Reason.KILLED.value)
    workshop.ingest(document)  # a job that comes late changes nothing
    assert workshop.state(document) == ("failed", Reason.KILLED.value)
    transaction(workshop.console, ALICE, lambda c: documents.relaunch_document(c, document))
    assert workshop.state(document) == ("waiting", None)
    workshop.ingest(document, 2)
    assert workshop.state(document) == ("embedding", None)
    transaction(workshop.console, ALICE, lambda c: documents.relaunch_document(c, document))
    assert workshop.state(document) == ("embedding", None)


def test_vectors_go_on_where_they_stopped(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BATCH", 1)
    document = workshop.put("\n\n".join(samples.FILLER * 4).encode())
    workshop.ingest(document)
    passages = len(workshop.rows("SELECT 1 FROM passage"))
    assert passages > 3
    workshop.model.away_after = 2
    with pytest.raises(AwayError):
        workshop.embed(document)
    assert len(workshop.rows("SELECT 1 FROM passage_vector")) == 2
    assert workshop.state(document) == ("embedding", None)
    workshop.model.away_after = 10_000
    workshop.model.calls = 0
    workshop.embed(document)
    assert workshop.model.calls == passages - 2
    assert len(workshop.rows("SELECT 1 FROM passage_vector")) == passages
    assert workshop.state(document) == ("ready", None)


def test_a_passage_that_is_refused_stays_without_a_vector(workshop: Workshop) -> None:
    document = workshop.put(b"# Un\n\nrefus\xc3\xa9\n\n# Deux\n\naccord\xc3\xa9\n")
    workshop.ingest(document)
    workshop.embed(document)
    assert workshop.state(document) == ("ready", None)
    assert len(workshop.rows("SELECT 1 FROM passage")) == 2
    assert len(workshop.rows("SELECT 1 FROM passage_vector")) == 1


def test_a_deletion_ends_with_no_trace_and_a_record(workshop: Workshop) -> None:
    document, other = workshop.put(samples.text()), workshop.put(b"Un autre texte.")
    for one in (document, other):
        workshop.ingest(one)
        workshop.embed(one)
    transaction(workshop.console, ALICE, lambda c: documents.delete_document(c, document))
    assert ("forget",) in workshop.rows("SELECT task_name FROM jobs.procrastinate_jobs")
    assert [path.name for path in workshop.objects.folder.rglob("*") if path.is_file()] != []
    workshop.do(*[lambda tools: ingest.forget(tools, document)] * 2)
    fact = workshop.log.facts[-1]
    assert (fact.id, fact.actor) == (f"delete-{document.hex}", "alice")
    files = [path for path in workshop.objects.folder.rglob("*") if path.is_file()]
    assert len(files) == 1
    left = workshop.rows("SELECT id FROM passage")
    assert workshop.rows("SELECT DISTINCT unnest(ids) FROM posting_block") == left
    assert workshop.rows("SELECT passage_id FROM passage_vector") == left
    assert workshop.rows("SELECT args ->> 'document' FROM jobs.procrastinate_jobs") == [
        (str(other),),
        (str(other),),
    ]
    workshop.ingest(document, 9)
    workshop.embed(document)
    assert workshop.rows("SELECT id FROM passage") == left


def test_a_document_deleted_while_it_is_parsed_stays_deleted(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sandbox.parse
    document = workshop.put(samples.text())

    async def slow(data: bytes) -> Answer:
        async with await AsyncConnection.connect(workshop.console) as conn:
            await act_as(conn, ALICE)
            await documents.delete_document(conn, document)
        return await real(data)

    monkeypatch.setattr(ingest, "parse", slow)
    workshop.ingest(document)
    assert workshop.rows("SELECT 1 FROM passage") == []
    assert workshop.rows("SELECT 1 FROM document") == []


def test_the_same_bytes_deposited_before_a_deletion_ends_stay_readable(
    workshop: Workshop,
) -> None:
    first = workshop.put(samples.text())
    transaction(workshop.console, ALICE, lambda c: documents.delete_document(c, first))
    again = workshop.put(samples.text())
    workshop.do(lambda tools: ingest.forget(tools, first))
    workshop.ingest(again)
    assert workshop.state(again) == ("embedding", None)


def test_jobs_for_what_never_was_do_nothing(workshop: Workshop) -> None:
    absent = uuid4()
    workshop.ingest(absent)
    workshop.embed(absent)
    workshop.do(
        lambda tools: ingest.forget(tools, absent), lambda tools: ingest.give_up(tools, absent)
    )
    assert workshop.log.facts == []


def test_the_store_names_no_original_of_what_is_hidden(workshop: Workshop) -> None:
    document = workshop.put(samples.text())
    stranger = transaction(workshop.console, None, lambda c: store.find_original(c, document))
    assert stranger is None


def test_scattered_postings_are_made_dense_and_nothing_else_changes(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BLOCKS_MIN", 10)
    for number in range(5):
        workshop.ingest(workshop.put(f"Le recours contre la décision {number}.".encode()))

    def ask() -> list[tuple[str, float]]:
        found = transaction(workshop.console, ALICE, lambda c: retrieve(c, "recours", ["rh"]))
        return [(p.body, p.score) for p in found]

    done: list[bool] = []

    async def house(tools: ingest.Tools) -> None:
        done.append(await ingest.keep_house(tools))

    before, blocks = ask(), len(workshop.rows("SELECT 1 FROM posting_block"))
    assert len(before) == 5
    workshop.do(house, house)
    assert done == [True, False]
    assert len(workshop.rows("SELECT 1 FROM posting_block")) < blocks / 2
    assert workshop.rows("SELECT class_id, n FROM class_count")[0][1] == 5
    assert ask() == before


def test_few_blocks_are_left_alone(workshop: Workshop) -> None:
    async def house(tools: ingest.Tools) -> None:
        assert not await ingest.keep_house(tools)

    workshop.do(house)

"""The sample documents: what they are, and that questions to them end as they should.

Read by the parser, searched in PostgreSQL, decided and quoted as the gateway does.
"""

import re
import tomllib
import uuid
from functools import cache
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from appliance.identity.policy import Outcome as Thresholds
from appliance.identity.principal import Principal
from appliance.rag import store
from appliance.rag.chunk import chunks_of
from appliance.rag.extract import Extract, extract
from appliance.rag.formats.detect import read as read_document
from appliance.rag.indexing import store as index
from appliance.rag.parsed import Parsed
from appliance.rag.retrieve import Passage, retrieve
from appliance.rag.support import Outcome, decide
from tests.data.sample.make import DOCUMENTS, MADE, read
from tests.rag.library import declare, principal, transaction

QUESTIONS = tomllib.loads((DOCUMENTS / "questions.toml").read_text("utf-8"))["question"]
SITE = tomllib.loads((DOCUMENTS.parent / "site.toml").read_text("utf-8"))
ANSWERED = [q for q in QUESTIONS if "document" in q]
UNANSWERED = [q for q in QUESTIONS if "kind" in q]
PATHS = sorted(p for p in DOCUMENTS.glob("*/*") if p.is_file())
SLUGS = sorted({p.parent.name for p in PATHS})
READER = principal("sample", ("/equipes/tous",), 3)


@cache
def _parsed(path: Path) -> Parsed:
    return read_document(path.read_bytes())


def _plain(text: str) -> str:
    return " ".join(text.split())


def _text(path: Path) -> str:
    return _plain(" ".join(page.text for page in _parsed(path).pages))


async def _put(conn: AsyncConnection, path: Path) -> None:
    shelf = await store.find_shelf(conn, path.parent.name)
    assert shelf
    public_id = uuid.uuid5(uuid.NAMESPACE_URL, path.name)
    new = store.NewDocument(
        public_id=public_id,
        collection_id=shelf.id,
        name=path.name,
        title=path.stem,
        size=1,
        content_id=public_id.bytes * 2,
        wrapped_key=b"wrapped",
    )
    await store.insert_document(conn, new)
    source = await store.find_original(conn, public_id)
    assert source
    parsed = _parsed(path)
    pages = [page.text for page in parsed.pages]
    passages = [
        index.NewPassage(c.page, c.section, c.start, c.end, pages[c.page - 1][c.start : c.end])
        for c in chunks_of(parsed.pages)
    ]
    text = index.Text(parsed.kind, parsed.title or path.stem, pages, passages, {})
    await index.replace_text(conn, source.id, source.class_id, text)
    await index.set_progress(conn, source.id, "ready")


@pytest.fixture
def library(worker_database: str) -> str:
    async def fill(conn: AsyncConnection) -> None:
        for slug in SLUGS:
            await declare(conn, slug, 0, tous=True)
        for path in PATHS:
            await _put(conn, path)

    transaction(worker_database, None, fill)
    return worker_database


def _ask(
    dsn: str, questions: list[dict[str, str]], reader: Principal = READER
) -> list[tuple[list[Passage], Outcome, Extract]]:
    async def work(conn: AsyncConnection) -> list[tuple[list[Passage], Outcome, Extract]]:
        found = []
        for question in questions:
            slugs = [question["collection"]] if "collection" in question else SLUGS
            passages = await retrieve(conn, question["text"], slugs)
            outcome = decide(question["text"], passages, Thresholds())
            found.append((passages, outcome, extract(question["text"], passages)))
        return found

    return transaction(dsn, reader, work)


def test_there_are_enough_documents_of_each_kind() -> None:
    kinds = [(_parsed(path).kind, len(_parsed(path).pages)) for path in PATHS]
    assert len(PATHS) >= 12
    assert sum(kind == "pdf" and pages > 1 for kind, pages in kinds) >= 2
    for kind in ("docx", "html", "markdown", "text"):
        assert sum(found == kind for found, _ in kinds) >= 2
    assert all(path.stat().st_size < 60_000 for path in PATHS)


def test_each_folder_is_a_collection_of_the_sample_site() -> None:
    assert sorted(c["slug"] for c in SITE["collections"]) == SLUGS
    assert len({c["label"] for c in SITE["collections"]}) == len(SLUGS)


@pytest.mark.parametrize("name", MADE)
def test_a_made_document_says_what_its_source_says(name: str) -> None:
    facts, blocks = read(name)
    parsed = _parsed(DOCUMENTS / MADE[name])
    text = _text(DOCUMENTS / MADE[name])
    assert parsed.title == facts["title"]
    assert [_plain(block) for _, block in blocks if _plain(block) not in text] == []
    headings = [block for level, block in blocks if level > 1]
    found = [section.title for page in parsed.pages for section in page.sections]
    assert [h for h in headings if h not in found] == []


def test_each_question_has_its_sentence_in_its_document() -> None:
    assert len(UNANSWERED) >= 8
    assert sum(q["kind"] == "number" for q in UNANSWERED) >= 3
    for slug in SLUGS:
        assert sum(q["collection"] == slug for q in ANSWERED) >= 5
    for question in ANSWERED:
        path = DOCUMENTS / question["collection"] / question["document"]
        assert question["sentence"] in _text(path), question["text"]


def test_questions_are_answered_with_the_sentence_that_holds_the_answer(library: str) -> None:
    first = 0
    for question, (passages, outcome, found) in zip(
        ANSWERED, _ask(library, ANSWERED), strict=True
    ):
        assert outcome.kind == "answer", question["text"]
        assert passages
        quoted = [question["sentence"] in _plain(s.text) for s in found.sentences]
        assert any(quoted), question["text"]
        first += quoted[0]
    assert first >= 0.9 * len(ANSWERED)


def test_wider_scopes_answer_the_same_questions(library: str) -> None:
    everywhere = [{"text": q["text"]} for q in ANSWERED]
    assert {outcome.kind for _, outcome, _ in _ask(library, everywhere)} == {"answer"}


def test_questions_that_nothing_answers_are_not_answered(library: str) -> None:
    for question, (_, outcome, _) in zip(UNANSWERED, _ask(library, UNANSWERED), strict=True):
        assert outcome.kind == "none", question["text"]
        if question["kind"] == "number":
            assert outcome.z == float("-inf"), question["text"]


def test_no_document_holds_a_secret_or_somebody_s_data() -> None:
    """Telephone numbers are those kept for fiction, addresses lead nowhere."""
    for path in PATHS:
        text = _text(path)
        assert all(n.startswith("01 99 00") for n in re.findall(r"\b0\d(?: \d\d){4}\b", text))
        assert all(a.endswith(".example") for a in re.findall(r"@[\w.-]+\w", text))

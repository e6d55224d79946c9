"""Search as measured in the notes: the analysis of French, BM25, fusion; and what is kept."""

import math
import uuid

import pytest
from psycopg import AsyncConnection

from appliance.rag import store
from appliance.rag.indexing import store as index
from tests.rag.library import ALICE, Book, declare, direction, put, transaction

TEXTS = [
    "Le télétravail est limité à deux jours par semaine, selon la circulaire PA-102.",
    "Les agents de l'État disposent de 100 000 euros pour le télétravail.",
    "La cantine ouvre à midi. Le menu est affiché à l’entrée.",
    "Le cœur du réseau redémarre en 2019-2020, article L. 311-1.",
]


async def fill(conn: AsyncConnection) -> list[int]:
    await declare(conn, "rh", 1, rh=True)
    return await put(conn, Book("rh", "Règlement", TEXTS))


async def classes(conn: AsyncConnection) -> list[int]:
    return (await store.find_classes(conn, ["rh"]))["rh"]


@pytest.fixture
def ids(worker_database: str) -> list[int]:
    return transaction(worker_database, None, fill)


def found(
    dsn: str, question: str, near: tuple[list[float], float] | None = None
) -> list[store.PassageRow]:
    async def ask(conn: AsyncConnection) -> list[store.PassageRow]:
        return await store.search(conn, question, await classes(conn), 8, near)

    return transaction(dsn, ALICE, ask)


@pytest.mark.parametrize(
    ("question", "page"),
    [
        pytest.param("télétravail semaine", 1, id="accents"),
        pytest.param("TELETRAVAIL SEMAINES", 1, id="neither accents nor case"),
        pytest.param("circulaire PA-102", 1, id="code with a hyphen"),
        pytest.param("102", 1, id="part of a code"),
        pytest.param("l’Etat", 2, id="elision with a typographic apostrophe"),
        pytest.param("100000 euros", 2, id="a number with thousands joined"),
        pytest.param("coeur", 4, id="ligature"),
        pytest.param("2020", 4, id="second year of a range"),
        pytest.param("article 311", 4, id="article of a law"),
        pytest.param("cantines", 3, id="plural"),
    ],
)
@pytest.mark.usefixtures("ids")
def test_words_are_found(gateway_database: str, question: str, page: int) -> None:
    assert found(gateway_database, question)[0].page == page


@pytest.mark.parametrize(
    "question", ["", "le la les", "xyzzy", "???", "a-t-il", "%'\"\\ \0x".replace("\0", "")]
)
@pytest.mark.usefixtures("ids")
def test_a_question_without_a_known_word_finds_nothing(
    gateway_database: str, question: str
) -> None:
    assert found(gateway_database, question) == []


@pytest.mark.usefixtures("ids")
def test_the_title_of_the_document_counts(gateway_database: str) -> None:
    assert len(found(gateway_database, "règlement")) == len(TEXTS)


@pytest.mark.usefixtures("ids")
def test_scores_are_those_of_bm25(gateway_database: str) -> None:
    """Of « cantine »: one of four passages, once, among 7 terms with the title's."""
    first = found(gateway_database, "cantine")[0]
    idf = math.log(1 + (4 - 1 + 0.5) / (1 + 0.5))
    terms = 6  # reglement cantin ouvr midi menu affich entre, without « entre »
    weight = 2.2 / (1 + 1.2 * (0.25 + 0.75 * terms / 88.8))
    assert first.lexical == pytest.approx(idf * weight, rel=1e-3)
    assert first.score == pytest.approx(weight / 2.2, rel=1e-3)
    assert first.cosine is None


def test_a_vector_brings_what_has_no_word_and_no_vector_is_no_obstacle(
    worker_database: str, gateway_database: str, ids: list[int]
) -> None:
    vectors = {ids[2]: direction(1, 0), ids[0]: direction(0, 1)}
    transaction(worker_database, None, lambda c: index.insert_vectors(c, vectors))
    rows = found(gateway_database, "télétravail", (direction(1, 0), 0.2))
    assert {row.page for row in rows} == {1, 2, 3}
    by_page = {row.page: row for row in rows}
    assert by_page[3].lexical == 0
    assert by_page[3].score == pytest.approx(0.2, abs=1e-3)
    assert by_page[2].cosine is None
    assert by_page[1].cosine == pytest.approx(0, abs=1e-3)


def test_fusion_adds_the_weighted_cosine_to_the_share_of_bm25(
    worker_database: str, gateway_database: str, ids: list[int]
) -> None:
    transaction(
        worker_database, None, lambda c: index.insert_vectors(c, {ids[2]: direction(1, 1)})
    )
    words = found(gateway_database, "cantine")[0]
    both = found(gateway_database, "cantine", (direction(1, 0), 0.5))[0]
    assert both.score == pytest.approx(words.score + 0.5 * math.sqrt(0.5), rel=1e-3)
    assert both.lexical == words.lexical


def test_above_the_limit_vectors_are_searched_by_the_index(
    worker_database: str, gateway_database: str, ids: list[int]
) -> None:
    async def claim_many(conn: AsyncConnection) -> None:
        await index.insert_vectors(conn, {ids[1]: direction(1), ids[3]: direction(0, 1)})
        await conn.execute("INSERT INTO class_count SELECT min(id), 20000 FROM passage_class")

    transaction(worker_database, None, claim_many)
    rows = found(gateway_database, "inconnu", (direction(0.1, 1), 1.0))
    assert [row.page for row in rows] == [4, 2]


def test_compaction_changes_no_answer(
    worker_database: str, gateway_database: str, ids: list[int]
) -> None:
    before = found(gateway_database, "télétravail cantine 2020")
    assert len(before) == len(ids)
    transaction(worker_database, None, lambda c: index.compact(c, 1, 999_999_999))
    assert found(gateway_database, "télétravail cantine 2020") == before


def test_a_page_opens_with_its_passage_marked(worker_database: str) -> None:
    async def page(conn: AsyncConnection) -> None:
        await fill(conn)
        row = (await store.search(conn, "cantine", await classes(conn), 1, None))[0]
        text = await store.find_page(conn, row.document, 1, row.id)
        assert text is not None
        assert (text.page, text.pages, text.kind) == (3, 4, "text")
        assert text.text[text.start : text.end] == row.body
        whole = await store.find_page(conn, row.document, 2, None)
        assert whole is not None
        assert (whole.text, whole.start, whole.end) == (TEXTS[1], 0, 0)
        assert await store.find_page(conn, row.document, 9, None) is None
        assert await store.find_page(conn, row.document, 1, uuid.uuid4()) is None

    transaction(worker_database, None, page)


@pytest.mark.usefixtures("ids")
def test_a_list_of_documents_is_cut_in_parts(worker_database: str) -> None:
    async def read(conn: AsyncConnection) -> list[list[str]]:
        await put(conn, Book("rh", "Second", ["Un autre texte."]))
        pages = [
            await store.list_documents(conn, slug="rh", limit=1, offset=n) for n in range(3)
        ]
        return [[d.title for d in page] for page in pages]

    assert transaction(worker_database, None, read) == [["Second"], ["Règlement"], []]


@pytest.mark.usefixtures("ids")
def test_the_policy_is_an_index_condition_and_not_a_filter(gateway_database: str) -> None:
    """What one may not read costs nothing, and no row of it is looked at."""

    async def explain(conn: AsyncConnection) -> str:
        await conn.execute("SET LOCAL enable_seqscan = off")
        rows = await conn.execute(
            """
            EXPLAIN SELECT b.term_id, b.n, b.max_imp, b.id FROM posting_block b
            WHERE b.term_id = ANY ('{1,2}') AND b.class_id = ANY ('{1,2}')
            """
        )
        return "\n".join(line for (line,) in await rows.fetchall())

    plan = transaction(gateway_database, ALICE, explain)
    (condition,) = [line for line in plan.splitlines() if "Index Cond" in line]
    assert "Index Only Scan using posting_block_key" in plan
    assert condition.count("class_id = ANY") == 2
    assert "Filter" not in plan

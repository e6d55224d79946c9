"""The search as people see it: through the copy, from the log."""

import asyncio
import re
from collections.abc import Sequence

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from appliance.audit.client import RecorderClient
from appliance.audit.event import Kind, fact
from appliance.console.trail.listing import TAIL, read_runs
from tests.audit.index.copies import stored
from tests.console.pages.test_journal import LEAVE, ROWS, record_of
from tests.console.stand import Person, Stand, person, text_of, values_of


def numbers(page: object) -> list[int]:
    found = values_of(page, f"{ROWS}//td[1]/a/text()")  # type: ignore[arg-type]
    return [int(re.sub(r"\D", "", text)) for text in found]


class Counting:
    """A recorder that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    async def read(self, start: int, limit: int) -> list[bytes]:
        self.asked.append((start, limit))
        return stored()[start : start + limit]


@pytest.mark.parametrize(
    ("indexes", "questions"),
    [([], 0), ([1, 2, 3], 1), ([8, 0], 1), (range(2, 5), 1), ([3, 3], 1)],
    ids=["none", "neighbours", "near", "a range", "twice"],
)
def test_neighbours_are_read_together_and_nothing_else_is_given(
    indexes: Sequence[int], questions: int
) -> None:
    recorder = Counting()
    given = asyncio.run(read_runs(recorder, indexes))  # type: ignore[arg-type]
    assert [index for index, _ in given] == sorted(set(indexes))
    assert len(recorder.asked) == questions


def test_a_leaf_that_the_log_no_longer_has_is_left_out() -> None:
    given = asyncio.run(read_runs(Counting(), [7, 500]))  # type: ignore[arg-type]
    assert [index for index, _ in given] == [7]


def test_a_search_is_answered_from_the_log_and_recorded_before(
    stand: Stand, clara: Person, auditor: Person
) -> None:
    record = record_of(clara)
    stand.indexed()
    page = auditor.get(f"/journal?q={record}")
    assert numbers(page) == [record]
    assert b'"q":"%d"' % record in stand.leaves()[-1]

    answers = auditor.get("/journal?type=llm.completion&issue=ok")
    assert record in numbers(answers)
    assert set(values_of(answers, f"{ROWS}//th//text()[normalize-space()]")) == {
        "Réponse achevée"
    }


def test_what_the_copy_has_not_taken_yet_is_found_too(
    stand: Stand, clara: Person, auditor: Person
) -> None:
    behind = make_conninfo(stand.owner, user="casemate_indexer")
    stand.indexed()
    with psycopg.connect(behind) as conn:  # the indexer waits for this lock
        conn.execute("SELECT FROM audit.side FOR UPDATE")
        record = record_of(clara)
        assert record in numbers(auditor.get("/journal?type=llm.completion"))
        assert record in numbers(clara.get("/journal"))


def test_an_edited_copy_shows_the_log_and_is_said(
    stand: Stand, server: str, clara: Person, auditor: Person
) -> None:
    record = record_of(clara)
    stand.indexed()
    edit = "UPDATE audit.event SET leaf_hash = sha256('x') WHERE idx = %s AND type LIKE 'llm%%'"
    with psycopg.connect(server, dbname="casemate_console_test") as conn:
        before = conn.execute("SELECT leaf_hash FROM audit.event WHERE idx = %s", [record])
        kept = before.fetchone()
        conn.execute(edit, [record])
        conn.commit()
        try:
            page = auditor.get(f"/journal?q={record}")
        finally:
            conn.execute(
                "UPDATE audit.event SET leaf_hash = %s WHERE idx = %s", [*(kept or ()), record]
            )
    assert numbers(page) == [record]
    assert "a été modifiée" in text_of(page, "//*[contains(@class, 'notice-bad')]")


def test_a_row_given_to_somebody_else_is_not_shown_to_them(
    stand: Stand, server: str, clara: Person
) -> None:
    record = record_of(clara)
    stand.indexed()
    with psycopg.connect(server, dbname="casemate_console_test") as conn:
        give = "UPDATE audit.event SET actor = %s WHERE idx = %s"
        conn.execute(give, ["b.autre", record])
        conn.commit()
        try:
            with person(stand, "b.autre") as other:
                page = other.get("/journal")
        finally:
            conn.execute(give, ["c.vasseur", record])
    assert f"/journal/{record}" not in page.text
    assert LEAVE not in page.text


def test_a_copy_far_behind_says_so(stand: Stand, auditor: Person, server: str) -> None:
    stand.indexed()
    with psycopg.connect(server, dbname="casemate_console_test") as conn:
        conn.execute("SELECT FROM audit.side FOR UPDATE")  # the indexer waits for this lock

        async def append() -> None:
            client = RecorderClient(stand.site.log.socket, "many")
            await client.connect()
            events = [
                fact(Kind.TOOL_CALL, "robot", f"far-behind-{number:016}")
                for number in range(TAIL + 40)
            ]
            await client.append_all(events)
            await client.close()

        stand.loop.run(append())
        page = auditor.get("/journal")
    assert "en retard de" in text_of(page, "//*[contains(@class, 'notice-warn')]")
    assert len(numbers(page)) == 50

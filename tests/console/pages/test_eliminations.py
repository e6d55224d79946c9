"""The list that waits for a visa, its text, and the visa recorded by who may."""

import hashlib
import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.console.stand import Person, Stand, found_in, person, text_of, values_of

LINES = [
    {
        "month": "2025-01", "first": 1, "end": 3, "count": 2,
        "oldest": "2025-01-02T00:00:00Z", "newest": "2025-01-03T00:00:00Z",
    }
]  # fmt: skip


@pytest.fixture
def listed(stand: Stand) -> Iterator[int]:
    """Propose a list as the worker does."""
    with psycopg.connect(stand.worker) as conn:
        (number,) = conn.execute(
            "INSERT INTO elimination (months, lines) VALUES (12, %s) RETURNING id",
            [json.dumps(LINES)],
        ).fetchone() or (0,)
    yield number
    with psycopg.connect(stand.owner) as conn:  # its record is in this log, not in the next one
        conn.execute("TRUNCATE elimination")


@pytest.fixture
def dpo(stand: Stand) -> Iterator[Person]:
    with person(stand, "d.morel", roles=["dpo"], groups=[]) as signed_in:
        yield signed_in


def test_the_visa_is_recorded_for_the_text_that_was_given(
    stand: Stand, dpo: Person, listed: int
) -> None:
    panel = f"//section[@aria-labelledby='liste-{listed}']"
    page = dpo.get("/eliminations")
    assert "attend le visa" in text_of(page, panel)
    assert "2 contenus, des enregistrements 1 à 2" in text_of(page, panel)
    text = dpo.get(f"/eliminations/{listed}/bordereau")
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert f"# Bordereau d’élimination nº {listed}" in text.text
    digest = hashlib.sha256(text.content).hexdigest()
    assert digest in text_of(page, panel)
    assert dpo.post(f"/eliminations/{listed}/visa", reference=" ").status_code == 400
    assert dpo.post(f"/eliminations/{listed}/visa", reference="AD 117").status_code == 303
    after = dpo.get("/eliminations")
    assert "visa inscrit" in text_of(after, panel)
    assert not found_in(after, f"{panel}//form")
    (href,) = values_of(after, f"{panel}//a[contains(@href, '/journal/')]/@href")
    leaf = json.loads(stand.leaves()[int(href.rpartition("/")[2])])["event"]
    assert (leaf["type"], leaf["actor"]) == ("casemate.gate.decide.v1", "d.morel")
    assert leaf["data"] == {
        "gate": "elimination", "list": listed, "first": 1, "end": 3, "count": 2,
        "sha256": digest, "reference": "AD 117", "name": "d.morel",
    }  # fmt: skip
    count = len(stand.leaves())
    assert dpo.post(f"/eliminations/{listed}/visa", reference="encore").status_code == 303
    assert "gate.decide" not in str(stand.leaves()[count:])


def test_others_have_no_page(clara: Person, auditor: Person, operator: Person) -> None:
    for who in (clara, auditor, operator):
        for answer in (
            who.get("/eliminations"), who.get("/eliminations/1/bordereau"),
            who.post("/eliminations/1/visa", reference="x"),
        ):  # fmt: skip
            assert answer.status_code == 403


def test_a_list_that_does_not_exist_is_not_found(dpo: Person) -> None:
    assert dpo.get("/eliminations/99999/bordereau").status_code == 404
    assert dpo.post("/eliminations/99999/visa", reference="x").status_code == 404

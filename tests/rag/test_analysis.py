"""The terms of a text are those of the database, on thousands of texts and on odd ones."""

import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from appliance.rag.analysis import frequencies, normal, terms
from bench.piaf import read as read_piaf
from tests.data.sample.make import HERE

ODD = """café.Le fin.École|fin.Le début|é.a|/Le|(/12)|x24.8y60|50.8 mm|2.50.8cm|p.3|12.5%|12.5km
3.5e|a_b.c|+a|1,5.2|1.2.a|1.2.ab|http://intranet/x|mailto:a@b.fr|www.a-b.fr|a@b|x@y.z|C++
#3|1°|2è|2e|M.Dupont|M. Dupont|Mme.|a.B.c.|..a.b|a..b|a.b@c.fr|2.0a|v2.0a|A4|A.4|4.A|4.AB
https://portail.exemple.gouv.fr/aide?x=1&y=2|<p class=x>|a < b > c|5 < 6|<12|&nbsp|& co;
a&b;|1.000.000|-1.5|x-1.5|x -1.5|(-1.5)|=-2|.5|5.|l.5|1e|1e+5|12e5|12e|é1|1é|1_2|œuvre
ŒUVRE|m² m³ ½ 2²|PO-217, article 3.2 du 12/03/2026 ; 40 000 € HT ; 25 000,50 €|2019-2020
L. 311-1|2016/679|L'État d’été n°3|l' État|aujourd'hui|a-t-il|été|avions
palais français bijoux|J.-C.|S.A.R.L.|24h/24|12h30|1 000 000 2 000|100\u00a0000
100\u202f000|non‑lieu|e\u0301te\u0301|ÉTÉ À ÇA||   |… « » —|𝟎 😀 a"""
ODD_TEXTS = [text for line in ODD.split("\n") for text in line.split("|")]
LATIN = re.compile(r"[\u0000-\u024f\u1e00-\u20bf\u2100-\u2bff]*")


def _of_database(dsn: str, texts: list[str]) -> list[Counter[str]]:
    with psycopg.connect(dsn) as conn:
        rows = conn.execute(
            "SELECT i, a.term, a.tf FROM unnest(%s::text[]) WITH ORDINALITY t (x, i),"
            " LATERAL lex_analyze(x) a",
            [texts],
        ).fetchall()
    found = [Counter[str]() for _ in texts]
    for i, term, tf in rows:
        found[i - 1][term] = tf
    return found


def _differences(dsn: str, texts: list[str]) -> list[tuple[str, Counter[str], Counter[str]]]:
    pairs = zip(texts, map(frequencies, texts), _of_database(dsn, texts), strict=True)
    return [(text, mine, theirs) for text, mine, theirs in pairs if mine != theirs]


def test_odd_texts_give_the_terms_of_the_database(gateway_database: str) -> None:
    assert _differences(gateway_database, ODD_TEXTS) == []


def test_sample_documents_give_the_terms_of_the_database(gateway_database: str) -> None:
    folder = Path("appliance/site/sample/documents")
    paths = [*HERE.glob("*.md"), *folder.glob("*/*.md"), *folder.glob("*/*.txt")]
    texts = [part for p in paths for part in p.read_text("utf-8").split("\n\n")]
    assert len(texts) > 100
    assert _differences(gateway_database, texts) == []


def test_passages_and_questions_give_the_terms_of_the_database(gateway_database: str) -> None:
    """Latin script: of others the two cut combining signs in different places."""
    piaf = read_piaf()
    texts = [f"{p.title} {p.body}" for p in piaf.passages] + [q.text for q in piaf.questions]
    latin = [text for text in texts if LATIN.fullmatch(text)]
    assert len(latin) > 0.98 * len(texts)
    different = _differences(gateway_database, latin)
    assert len(different) <= 1, different[:3]  # « 960x24.8x60.9 »


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("L’État et l'état", ["etat", "etat"]),
        ("Combien de jours ?", ["jour"]),
        ("PO-217", ["po", "217"]),
        ("40 000 euros", ["40000", "euros"]),
        ("a-t-il", []),
        ("x" * 65, []),
        ("", []),
    ],
    ids=["elision", "stop", "code", "thousands", "function-words", "long", "empty"],
)
def test_terms_of_a_text(text: str, found: list[str]) -> None:
    assert terms(text) == found


def test_a_text_is_made_normal_once() -> None:
    assert normal("œuvre n° 2019–2020 : 100 000") == "oeuvre n° 2019 2020 : 100000"

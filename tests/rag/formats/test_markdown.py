import pytest

from appliance.rag.formats import markdown
from tests.rag import samples


def text_of(source: str) -> str:
    return "\n\n".join(sheet.text for sheet in markdown.read(source).pages)


def test_front_matter_is_metadata_and_not_text() -> None:
    parsed = markdown.read(samples.markdown().decode())
    assert parsed.meta == {"reference": "NS-12", "date": "2026-03-01"}
    assert parsed.title == samples.TITLE
    assert not parsed.pages[0].text.startswith("---")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param("**un** _mot_ `code`", "un mot code", id="marks"),
        pytest.param("[lien](http://x.invalid)", "lien", id="link"),
        pytest.param("![image](x.png)", "image", id="image"),
        pytest.param("un\ndeux", "un deux", id="soft line end"),
        pytest.param("un  \ndeux", "un\ndeux", id="hard line end"),
        pytest.param("- un\n- deux", "• un\n\n• deux", id="bullets"),
        pytest.param("3. un\n4. deux", "3. un\n\n4. deux", id="numbers"),
        pytest.param("```\na = 1\n```", "a = 1", id="code"),
        pytest.param("<b>gras</b>\n\n<div>bloc</div>", "gras\n\nbloc", id="HTML"),
        pytest.param("> cité", "cité", id="quotation"),
        pytest.param("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n\n1 | 2", id="table"),
    ],
)
def test_the_text_is_what_one_reads(source: str, text: str) -> None:
    assert text_of(source) == text


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("# Titre", True),
        ("texte\n\n## Titre", True),
        ("voir [ici](http://x.invalid)", True),
        ("---\ntitle: x\n---\ntexte", True),
        ("Un texte ordinaire.\n- avec un tiret", False),
        ("#mot-dièse", False),
        ("2 * 3 * 4", False),
    ],
)
def test_markdown_is_told_from_text(source: str, *, is_one: bool) -> None:
    assert markdown.is_markdown(source) is is_one


@pytest.mark.parametrize(
    "source",
    [">" * 100_000 + "x", "[" * 50_000, "*a " * 50_000, "- " * 10_000 + "x", "`" * 50_000],
    ids=["quotations", "brackets", "stars", "lists", "ticks"],
)
def test_hostile_marks_end(source: str) -> None:
    try:
        markdown.read("# x\n\n" + source)
    except RecursionError:
        return  # the parser program answers « too complex »

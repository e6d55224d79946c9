import msgspec
import pytest

from appliance.errors import FormatError
from appliance.rag import parsed as module
from appliance.rag.parsed import (
    REASONS,
    Answer,
    Page,
    Parsed,
    Reason,
    Section,
    clean,
    decode,
    encode,
)

GOOD = Answer(
    ["seccomp"],
    Parsed("pdf", [Page("Titre\nTexte.", [Section(0, "Titre")])], "Titre", {"date": "2026"}),
)


def test_an_answer_comes_back() -> None:
    assert decode(encode(GOOD)) == GOOD
    refused = Answer([], reason=Reason.ENCRYPTED)
    assert decode(encode(refused)) == refused


def test_each_reason_has_words_for_people() -> None:
    assert REASONS.keys() == set(Reason)


def changed(**fields: object) -> bytes:
    whole = msgspec.json.decode(encode(GOOD))
    for name, value in fields.items():
        (whole["parsed"] if name in whole["parsed"] else whole)[name] = value
    return msgspec.json.encode(whole)


def pages(text: str, *sections: tuple[int, str]) -> bytes:
    return changed(
        pages=[{"text": text, "sections": [{"at": a, "title": t} for a, t in sections]}]
    )


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"isolation":[]}', id="neither"),
        pytest.param(changed(reason="empty"), id="both"),
        pytest.param(changed(kind="exe"), id="format"),
        pytest.param(changed(title="x" * 301), id="title too long"),
        pytest.param(changed(extra=1), id="unknown field"),
        pytest.param(changed(pages=[]), id="no page"),
        pytest.param(changed(meta={"owner": "x"}), id="unknown metadata"),
        pytest.param(pages("a\0b"), id="NUL"),
        pytest.param(pages("e\u0301"), id="not NFC"),
        pytest.param(pages("a\rb"), id="line end"),
        pytest.param(pages("\u202etxet"), id="direction override"),
        pytest.param(pages("\ue000"), id="private character"),
        pytest.param(pages("abc", (4, "x")), id="section after the end"),
        pytest.param(pages("abc", (-1, "x")), id="section before the beginning"),
        pytest.param(pages("abc", (2, "x"), (1, "y")), id="sections out of order"),
        pytest.param(encode(GOOD)[:-1], id="cut"),
        pytest.param(encode(GOOD) + b"x", id="too much"),
        pytest.param(
            b'{"isolation":[],"parsed":{"kind":"text","pages":[{"text":"\\ud800"}]}}',
            id="half a pair",
        ),
    ],
)
def test_an_answer_in_another_form_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError):
        decode(line)


def test_a_text_without_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHARS_MAX", 5)
    with pytest.raises(FormatError):
        decode(encode(GOOD))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("abc\tdef\n", "abc\tdef\n"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\x00b\x1bc\x7f", "abc"),
        ("e\u0301\ud800\ue000\u200b\u202e", "é"),
        ("œuvre – « été »\u00a0!", "œuvre – « été »\u00a0!"),
    ],
)
def test_cleaning_keeps_what_people_read(text: str, result: str) -> None:
    assert clean(text) == result
    assert clean(result) == result

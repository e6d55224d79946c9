import pytest

from appliance.rag.formats import detect
from appliance.rag.parsed import Reason, UnreadableError, clean
from tests.rag import samples


@pytest.mark.parametrize("kind", samples.FORMATS)
def test_the_contents_decide_the_format(kind: str) -> None:
    parsed = detect.read(samples.FORMATS[kind]())
    assert parsed.kind == kind
    assert any(samples.NEEDLE in page.text.replace("\n", " ") for page in parsed.pages)
    assert all(clean(page.text) == page.text for page in parsed.pages)


@pytest.mark.parametrize("kind", ["pdf", "docx", "html", "markdown"])
def test_the_heading_above_the_sentence_is_its_section(kind: str) -> None:
    parsed = detect.read(samples.FORMATS[kind]())
    assert parsed.title == samples.TITLE
    page = next(p for p in parsed.pages if samples.NEEDLE in p.text.replace("\n", " "))
    at = page.text.replace("\n", " ").index(samples.NEEDLE)
    above = [section for section in page.sections if section.at <= at]
    assert above[-1].title == samples.SECTION
    assert page.text[above[-1].at :].startswith(samples.SECTION)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", Reason.EMPTY, id="nothing"),
        pytest.param(b" \n\t\0", Reason.EMPTY, id="blanks"),
        pytest.param(b"---\ntitle: x\n---\n", Reason.EMPTY, id="front matter alone"),
        pytest.param(
            b"<html><body><script>x</script></body></html>", Reason.EMPTY, id="empty page"
        ),
        pytest.param(b"\x7fELF\x02\x01\x01" + bytes(200), Reason.UNKNOWN_FORMAT, id="program"),
        pytest.param(
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)), Reason.UNKNOWN_FORMAT, id="image"
        ),
        pytest.param(b"PK\x03\x04" + bytes(100), Reason.UNKNOWN_FORMAT, id="broken archive"),
        pytest.param(
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
            + bytes(500)
            + "EncryptedPackage".encode("utf-16-le"),
            Reason.ENCRYPTED,
            id="protected office document",
        ),
        pytest.param(
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
            Reason.UNKNOWN_FORMAT,
            id="old DOC",
        ),
        pytest.param(b"\xff\xfea", Reason.UNKNOWN_FORMAT, id="half a character of UTF-16"),
        pytest.param(samples.pdf(password="x"), Reason.ENCRYPTED, id="encrypted PDF"),
        pytest.param(samples.pdf_of_images(), Reason.NO_TEXT_LAYER, id="PDF of images"),
        pytest.param(samples.pdf()[:400], Reason.DAMAGED, id="cut PDF"),
        pytest.param(b"%PDF-1.7\n" + b"\0" * 100, Reason.DAMAGED, id="PDF in name only"),
        pytest.param(samples.bomb(300 << 20), Reason.TOO_COMPLEX, id="archive bomb"),
        pytest.param(b"<p>" + b"<div>" * 5000 + b"x", Reason.TOO_COMPLEX, id="deep page"),
        pytest.param(samples.docx_with("<w:document"), Reason.DAMAGED, id="DOCX of broken XML"),
    ],
)
def test_what_cannot_be_used_has_a_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(UnreadableError) as caught:
        detect.read(data)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param("Été à la mairie".encode(), "Été à la mairie", id="UTF-8"),
        pytest.param(
            "Été à la mairie".encode("utf-8-sig"), "Été à la mairie", id="UTF-8 with mark"
        ),
        pytest.param("Été à la mairie".encode("cp1252"), "Été à la mairie", id="Windows"),
        pytest.param("Été à la mairie".encode("utf-16"), "Été à la mairie", id="UTF-16"),
        pytest.param("E\u0301te\u0301".encode(), "Été", id="decomposed"),
        pytest.param(b"un\r\ndeux\rtrois", "un\ndeux\ntrois", id="line ends"),
    ],
)
def test_texts_are_read_in_their_encoding(data: bytes, text: str) -> None:
    parsed = detect.read(data)
    assert (parsed.kind, parsed.pages[0].text) == ("text", text)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Marché des ascenseurs\n\nLe texte.", "Marché des ascenseurs"),
        ("Marché des ascenseurs\n=====\nLe texte.", "Marché des ascenseurs"),
        ("Marché des ascenseurs\nFiche du 5 janvier", "Marché des ascenseurs"),
        ("Une phrase.\n\nUne autre.", ""),
        ("Une ligne\nsuivie d'une autre", ""),
        ("x" * 121 + "\n\nLe texte.", ""),
        ("Un texte d'une ligne", ""),
    ],
)
def test_a_first_line_that_reads_as_a_title_is_the_title_of_a_text(
    text: str, title: str
) -> None:
    assert detect.read(text.encode()).title == title

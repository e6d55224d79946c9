import io
import zipfile

import pytest
from docx import Document

from appliance.rag.formats import word
from appliance.rag.parsed import Reason, UnreadableError
from tests.rag import samples

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def body(inside: str, *, before: str = "") -> bytes:
    return samples.docx_with(
        f"{before}<w:document {W} {MC}><w:body>{inside}</w:body></w:document>"
    )


def text_of(data: bytes) -> str:
    return "\n".join(page.text for page in word.read(data).pages)


def test_tables_are_read_row_by_row() -> None:
    assert "Acte | Délai\n\nRefus | deux mois" in text_of(samples.docx())


def test_what_was_deleted_is_gone_and_what_was_inserted_is_there() -> None:
    data = body(
        "<w:p><w:r><w:t>Le délai est de </w:t></w:r>"
        "<w:del><w:r><w:delText>un</w:delText><w:t>un</w:t></w:r></w:del>"
        "<w:ins><w:r><w:t>deux</w:t></w:r></w:ins><w:r><w:t> mois.</w:t></w:r></w:p>"
    )
    assert text_of(data) == "Le délai est de deux mois."


def test_a_text_box_is_read_once() -> None:
    choice = "<mc:Choice Requires='x'><w:p><w:r><w:t>encadré</w:t></w:r></w:p></mc:Choice>"
    fallback = "<mc:Fallback><w:p><w:r><w:t>encadré</w:t></w:r></w:p></mc:Fallback>"
    data = body(
        f"<w:p><w:r><mc:AlternateContent>{choice}{fallback}</mc:AlternateContent></w:r></w:p>"
    )
    assert text_of(data) == "encadré"


def test_content_controls_are_opened() -> None:
    data = body(
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>dedans</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    )
    assert text_of(data) == "dedans"


def test_entities_are_not_expanded_and_files_are_not_read() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(10))
    for entities in (laughs, '<!ENTITY l9 SYSTEM "file:///etc/passwd">'):
        data = body(
            "<w:p><w:r><w:t>avant &l9; après</w:t></w:r></w:p>",
            before=f"<!DOCTYPE x [{entities}]>",
        )
        try:
            text = text_of(data)
        except UnreadableError:
            continue
        assert "root:" not in text
        assert len(text) < 100


@pytest.mark.parametrize("depth", [300, 100_000])
def test_nesting_without_measure_is_refused(depth: int) -> None:
    deep = "<w:sdt><w:sdtContent>" * depth + "</w:sdtContent></w:sdt>" * depth
    with pytest.raises(UnreadableError) as caught:
        word.read(body(f"{deep}<w:p><w:r><w:t>x</w:t></w:r></w:p>"))
    assert caught.value.reason in {Reason.DAMAGED, Reason.TOO_COMPLEX}


def test_an_encrypted_archive_is_said_to_be_encrypted() -> None:
    data = bytearray(samples.docx())
    start = 0
    while (at := data.find(b"PK\x01\x02", start)) >= 0:  # bit 0 of the flags of each entry
        data[at + 8] |= 1
        start = at + 4
    with pytest.raises(UnreadableError) as caught:
        word.read(bytes(data))
    assert caught.value.reason is Reason.ENCRYPTED


def test_a_document_without_text_is_empty() -> None:
    buffer = io.BytesIO()
    Document().save(buffer)
    with pytest.raises(UnreadableError) as caught:
        word.read(buffer.getvalue())
    assert caught.value.reason is Reason.EMPTY


def test_other_archives_are_no_docx() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("content.xml", "<office/>")
    assert not word.is_docx(buffer.getvalue())
    assert word.is_docx(samples.docx())
    assert not word.is_docx(b"PK\x03\x04")

from uuid import uuid4

import pytest

from appliance.rag.document import PAGED, PageText


@pytest.mark.parametrize(("kind", "paged"), [("pdf", True), ("docx", False), ("text", False)])
def test_only_pages_of_a_pdf_have_numbers_that_readers_know(kind: str, *, paged: bool) -> None:
    page = PageText(uuid4(), "rh", 1, "A", kind, None, "in_force", 1, 1, "", "texte", 0, 0)
    assert page.paged is paged
    assert (kind in PAGED) is paged

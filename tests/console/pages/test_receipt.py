"""Checking a receipt: authentic, or refused with what failed."""

import pytest

from tests.console.stand import Person, text_of, values_of

LEAVE = "Quel est le délai de réponse à une demande de congé ?"


@pytest.fixture
def receipt(clara: Person) -> bytes:
    (href,) = values_of(clara.ask(LEAVE), "//article//a[contains(@href, '/recu')]/@href")
    return clara.get(href).content


def checked(who: Person, data: bytes) -> tuple[str, str]:
    """Return the badge and the whole verdict."""
    files = [("recu", ("recu.tlog-proof", data))]
    page = who.http.post("/recu", data={"csrf": who.session.csrf}, files=files)
    assert page.status_code == 200
    return text_of(page, "//*[@id='verdict']//span"), text_of(page, "//*[@id='verdict']")


def test_a_receipt_is_authentic_whoever_brings_it(operator: Person, receipt: bytes) -> None:
    badge, verdict = checked(operator, receipt)
    assert badge == "Reçu authentique"
    assert "Le reçu porte de quoi prouver la question et la réponse" in verdict
    assert "audit.example/demo" in verdict


def altered(receipt: bytes, line: str) -> bytes:
    """Return the receipt with one character of a line changed."""
    lines = receipt.split(b"\n")
    at = next(n for n, text in enumerate(lines) if text.startswith(line.encode()))
    middle = len(lines[at]) - 8
    changed = bytearray(lines[at])
    changed[middle] = ord("B") if changed[middle] != ord("B") else ord("C")
    return b"\n".join([*lines[:at], bytes(changed), *lines[at + 1 :]])


@pytest.mark.parametrize("line", ["extra ", "index ", "—"])
def test_a_receipt_that_was_changed_is_refused(
    clara: Person, receipt: bytes, line: str
) -> None:
    data = (
        receipt.replace(b"index ", b"index 1", 1)
        if line == "index "
        else altered(receipt, line)
    )
    badge, verdict = checked(clara, data)
    assert badge == "Reçu refusé"
    assert "CM-" in verdict


@pytest.mark.parametrize(
    "data",
    [b"", b"bonjour", b"\xff" * 100, b"x" * 100_000],
    ids=["empty", "text", "bytes", "long"],
)
def test_what_is_no_receipt_is_refused_and_shown_as_text(clara: Person, data: bytes) -> None:
    assert checked(clara, data)[0] == "Reçu refusé"


def test_the_page_of_python_is_given_and_is_the_one_of_the_package(clara: Person) -> None:
    page = clara.get("/recu/verifier.py")
    assert page.headers["content-type"].startswith("text/plain")
    compile(page.text, "verifier_recu.py", "exec")


def test_a_form_without_its_token_or_of_another_form_is_refused(clara: Person) -> None:
    file = [("recu", ("r", b"x"))]
    assert clara.http.post("/recu", data={"csrf": "faux"}, files=file).status_code == 403
    assert clara.http.post("/recu", files=file).status_code == 403
    assert clara.post("/recu").status_code == 400

"""People at Chromium, on the whole stack: an auditor with a code, an agent with a question."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.stack.conftest import RunningStack

pytestmark = pytest.mark.stack

QUESTION = "Combien de jours de télétravail sont possibles par semaine ?"
NOWHERE = "Quelle est la recette de la tarte aux pommes de la cantine ?"
SLOW = 60_000  # milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


@contextmanager
def at_desk(browser: Browser, stack: RunningStack) -> Iterator[Page]:
    """Lend a page of a fresh browser; a request that leaves the origin fails the test."""
    context = browser.new_context(locale="fr-FR", accept_downloads=True)
    context.set_default_timeout(SLOW)
    elsewhere: list[str] = []
    context.on(
        "request",
        lambda sent: None if sent.url.startswith(stack.origin) else elsewhere.append(sent.url),
    )
    yield context.new_page()
    context.close()
    assert elsewhere == []


def sign_in(page: Page, stack: RunningStack, name: str) -> None:
    page.goto(f"{stack.origin}/connexion")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", stack.person(name).password)
    page.press("input[name=password]", "Enter")
    if stack.person(name).otp:
        page.fill("input[name=otp]", stack.code(name))
        page.press("input[name=otp]", "Enter")
    page.wait_for_url(re.compile(rf"^{re.escape(stack.origin)}/(?!auth|connexion)"))


def test_an_auditor_signs_in_with_a_one_time_code_and_reads_the_log(
    browser: Browser, stack: RunningStack
) -> None:
    with at_desk(browser, stack) as page:
        sign_in(page, stack, "alix")
        assert page.url == f"{stack.origin}/journal"
        expect(page.locator("h1")).to_be_visible()
        page.goto(f"{stack.origin}/question")

        expect(page.locator("body")).to_contain_text("CM-DRT-01")


def test_a_wrong_code_does_not_let_an_auditor_in(browser: Browser, stack: RunningStack) -> None:
    with at_desk(browser, stack) as page:
        page.goto(f"{stack.origin}/connexion")
        page.fill("input[name=username]", "sacha")
        page.fill("input[name=password]", stack.person("sacha").password)
        page.press("input[name=password]", "Enter")
        page.fill("input[name=otp]", f"{(int(stack.code('sacha')) + 7) % 10**6:06}")
        page.press("input[name=otp]", "Enter")

        expect(page.locator("input[name=otp]")).to_be_visible()
        assert "/auth/realms/casemate/" in page.url


def test_a_question_is_answered_with_a_source_that_opens_at_the_place(
    browser: Browser, stack: RunningStack, tmp_path: Path
) -> None:
    with at_desk(browser, stack) as page:
        sign_in(page, stack, "camille")
        page.goto(f"{stack.origin}/question")
        page.fill("#q", QUESTION)
        page.click("#envoyer")
        answer = page.locator("article.turn").last
        expect(answer.locator(".stub")).to_be_visible()
        expect(answer.locator(".answer")).to_contain_text("deux jours par semaine")

        page.locator("#sources a.btn", has_text="Ouvrir la page").first.click()
        expect(page.locator("mark").first).to_be_visible()
        marked = " ".join(page.locator("mark").all_inner_texts())
        assert "deux jours par semaine" in " ".join(marked.split())

        page.go_back()
        receipt = _save_receipt(page, tmp_path)
        _check_receipt(page, stack, receipt, "Reçu authentique")
        forged = bytearray(receipt.read_bytes())
        forged[-20] ^= 1
        receipt.write_bytes(forged)
        _check_receipt(page, stack, receipt, "Reçu refusé")


def _save_receipt(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator("a[download][href*='/recu']").last.click()
    saved = folder / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.suffix == ".tlog-proof"
    return saved


def _check_receipt(page: Page, stack: RunningStack, receipt: Path, verdict: str) -> None:
    page.goto(f"{stack.origin}/recu")
    page.set_input_files("#recu", receipt)
    page.get_by_role("button", name="Vérifier", exact=True).click()
    expect(page.locator("#verdict, .notice").first).to_contain_text(verdict)


def test_what_the_documents_do_not_say_is_not_answered(
    browser: Browser, stack: RunningStack
) -> None:
    with at_desk(browser, stack) as page:
        sign_in(page, stack, "camille")
        page.goto(f"{stack.origin}/question")
        page.fill("#q", NOWHERE)
        page.click("#envoyer")
        answer = page.locator("article.turn").last
        expect(answer.locator(".stub")).to_be_visible()

        expect(answer).to_contain_text("Aucun passage ne répond à cette question")


def test_a_deposited_document_is_seen_to_become_ready_and_is_found(
    browser: Browser, stack: RunningStack, tmp_path: Path
) -> None:
    code = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:6].upper()
    note = tmp_path / "note-parapheurs.md"
    note.write_text(
        f"# Note sur les parapheurs {code}\n\n"
        f"Le parapheur {code} circule le mardi matin entre le secrétariat et le cabinet.\n",
        "utf-8",
    )
    with at_desk(browser, stack) as page:
        sign_in(page, stack, "camille")
        page.goto(f"{stack.origin}/documents/procedures")
        page.set_input_files("#fichiers", note)
        row = page.locator("#liste tr", has_text="parapheurs")
        expect(row).to_be_visible()
        stack.await_vectors()
        expect(row).to_contain_text("prêt", timeout=SLOW, ignore_case=True)

        page.goto(f"{stack.origin}/question")
        page.fill("#q", f"Quand circule le parapheur {code} ?")
        page.click("#envoyer")
        answer = page.locator("article.turn").last
        expect(answer.locator(".stub")).to_be_visible()
        expect(answer.locator(".answer")).to_contain_text("le mardi matin")


def test_somebody_who_signed_out_is_asked_again(browser: Browser, stack: RunningStack) -> None:
    with at_desk(browser, stack) as page:
        sign_in(page, stack, "dominique")
        page.get_by_role("button", name="Se déconnecter").click()
        page.wait_for_url(f"{stack.origin}/")
        page.goto(f"{stack.origin}/question")

        expect(page.locator("#q")).to_have_count(0)

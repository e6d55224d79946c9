"""What a person does in Chromium: asks, reads, stops, uploads, by mouse and by keyboard."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.browser import Watched, watched
from tests.console.stand import Stand

LEAVE = "Quel est le délai de réponse à une demande de congé ?"
ANSWER = [
    "Le chef de service répond ",
    "dans un délai de **quinze jours** [1].\n\n",
    "- un [1]",
]


@pytest.fixture
def seen(stand: Stand, browser: Browser) -> Iterator[Watched]:
    """Lend the page of somebody new, 1280 pixels wide."""
    stand.engine.words, stand.engine.pause = list(ANSWER), 0
    cookie, _ = stand.sign_in(f"b.essai-{uuid.uuid4().hex[:6]}")
    size = {"width": 1280, "height": 800}
    with watched(browser, stand, cookie, viewport=size, accept_downloads=True) as lent:
        yield lent
    stand.engine.pause = 0


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.className"))


def ask(page: Page, question: str = LEAVE) -> None:
    page.fill("#q", question)
    page.click("#envoyer")


def test_an_answer_streams_in_and_its_source_opens_with_the_passage_marked(
    stand: Stand, seen: Watched
) -> None:
    stand.engine.pause = 0.3
    seen.open("/question")
    ask(seen.page)
    expect(seen.page.locator('.answer[aria-busy="true"]')).to_contain_text("Le chef de service")
    expect(seen.page.locator("[data-stop]")).to_be_visible()
    expect(seen.page.locator(".stub")).to_be_visible()
    expect(seen.page.locator("[aria-busy]")).to_have_count(0)
    expect(seen.page.locator(".answer strong")).to_have_text("quinze jours")
    expect(seen.page.locator("#annonce")).to_have_text("Réponse achevée, 1\u00a0source")
    expect(seen.page.locator("#apercu mark")).to_contain_text("Article 4.")
    expect(seen.page.locator("#q")).to_have_value("")
    assert re.search(r"/question/[0-9a-f-]{36}$", seen.page.url), "the page has an address"
    seen.page.click("#apercu a")
    expect(seen.page.locator("mark#passage")).to_contain_text("quinze jours")
    seen.page.go_back()
    expect(seen.page.locator(".turn h2")).to_contain_text("Quel est le délai")


def test_citations_and_brackets_pick_one_source_everywhere(stand: Stand, seen: Watched) -> None:
    stand.engine.words = ["Le délai [1], la fiche [2]."]
    seen.open("/question")
    for box in seen.page.locator("input[name=collection]").all():
        box.check()
    ask(seen.page, "Quel délai de réponse, et qui signe la fiche de consignation ?")
    expect(seen.page.locator(".source")).to_have_count(2)
    rows = seen.page.locator(".source")
    seen.page.locator(".answer .cite").nth(1).click()
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    expect(rows.nth(1)).to_be_focused()
    expect(seen.page.locator("[data-page]:visible")).to_have_count(1)
    seen.page.keyboard.press("]")
    expect(rows.nth(0)).to_have_attribute("aria-current", "true")
    seen.page.keyboard.press("[")
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("by", ["button", "key"])
def test_a_stopped_answer_stays_with_its_receipt(stand: Stand, seen: Watched, by: str) -> None:
    stand.engine.words, stand.engine.pause = [f"mot{n} " for n in range(60)], 0.2
    seen.open("/question")
    ask(seen.page)
    expect(seen.page.locator("[data-stop][hx-get]")).to_be_visible()
    expect(seen.page.locator(".answer")).to_contain_text("mot1")
    seen.page.keyboard.press("Escape") if by == "key" else seen.page.click("[data-stop]")
    expect(seen.page.locator(".turn-foot .badge")).to_have_text("arrêtée")
    expect(seen.page.locator(".answer")).to_contain_text("mot1")
    expect(seen.page.locator(".answer")).not_to_contain_text("mot50")
    expect(seen.page.locator(".stub")).to_be_visible()
    expect(seen.page.locator("#envoyer")).to_be_enabled()


def test_a_refused_question_keeps_its_text_and_the_next_one_goes_through(
    seen: Watched,
) -> None:
    seen.open("/question")
    for box in seen.page.locator("input[name=collection]").all():
        box.uncheck()
    ask(seen.page)
    expect(seen.page.locator(".turn [role=alert]")).to_contain_text("403")
    expect(seen.page.locator("#q")).to_have_value(LEAVE)
    seen.page.locator("details.choose summary").click()
    seen.page.locator("details.choose input[value=notes]").check()
    seen.page.click("#envoyer")
    expect(seen.page.locator(".stub")).to_be_visible()


def test_a_session_that_ended_loses_no_question(seen: Watched) -> None:
    seen.open("/question")
    cookies = seen.page.context.cookies()
    seen.page.context.clear_cookies()
    seen.page.context.route(
        re.compile("/connexion"),
        lambda route: route.fulfill(body="<title>Connexion</title>", content_type="text/html"),
    )
    ask(seen.page)
    expect(seen.page).to_have_title("Connexion")
    for cookie in cookies:
        seen.page.context.add_cookies(
            [
                {
                    "name": cookie.get("name", ""),
                    "value": cookie.get("value", ""),
                    "url": seen.origin,
                }
            ]
        )
    seen.open("/question")
    expect(seen.page.locator("#q")).to_have_value(LEAVE)
    seen.page.click("#envoyer")
    expect(seen.page.locator(".stub")).to_be_visible()
    seen.open("/question")
    expect(seen.page.locator("#q")).to_have_value("")


def test_hostile_text_runs_nowhere(stand: Stand, seen: Watched) -> None:
    hostile = (
        "<img src=x onerror=\"document.title='pris'\"><script>document.title='pris'</script>"
    )
    stand.engine.words = [hostile, " [1]\n\n", "[x](javascript:document.title='pris')"]
    seen.open("/question")
    ask(seen.page, f"Quel délai de réponse ? {hostile}")
    expect(seen.page.locator(".stub")).to_be_visible()
    assert "pris" not in seen.page.title()
    expect(seen.page.locator(".turn img, .turn script")).to_have_count(0)
    expect(seen.page.locator("a[href^='javascript']")).to_have_count(0)


def test_the_receipt_is_saved_and_checked(seen: Watched, tmp_path: Path) -> None:
    seen.open("/question")
    ask(seen.page)
    with seen.page.expect_download() as download:
        seen.page.click(".stub a[download]")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name.endswith(".tlog-proof")
    seen.open("/recu")
    seen.page.set_input_files("#recu", file)
    seen.page.click("form[action='/recu'] button")
    expect(seen.page.locator("#verdict .badge")).to_have_text("Reçu authentique")
    file.write_bytes(file.read_bytes().replace(b"index ", b"index 1", 1))
    seen.page.set_input_files("#recu", file)
    seen.page.click("form[action='/recu'] button")
    expect(seen.page.locator("#verdict .badge")).to_have_text("Reçu refusé")


def test_files_and_folders_are_deposited_and_the_table_follows(
    stand: Stand, seen: Watched, tmp_path: Path
) -> None:
    slug = f"depot-{uuid.uuid4().hex[:6]}"
    stand.declare(slug, 0, methodes=True)
    folder = tmp_path / "dossier"
    folder.mkdir()
    (folder / "a.txt").write_text("Premier.")
    (folder / "b.txt").write_text("Second.")
    single = tmp_path / "<b>seul.txt"
    single.write_text("Seul.")
    seen.open(f"/documents/{slug}")
    seen.page.set_input_files("#fichiers", single)
    expect(seen.page.locator("#depots li")).to_contain_text("<b>seul.txt")
    expect(seen.page.locator("#liste tbody tr")).to_have_count(1)
    seen.page.set_input_files("#dossier", folder)
    expect(seen.page.locator("#depots li")).to_have_count(2)
    expect(seen.page.locator("#liste")).to_contain_text("dossier/a.txt")
    expect(seen.page.locator("#liste")).to_contain_text("en attente")
    assert seen.violations() == []
    stand.advance(slug, "ready")
    expect(seen.page.locator("#liste")).to_contain_text("prêt", timeout=15_000)
    expect(seen.page.locator("#liste")).not_to_contain_text("en attente", timeout=15_000)


def test_the_keyboard_alone_is_enough(seen: Watched) -> None:
    seen.open("/question")
    seen.page.keyboard.press("Tab")
    assert focused(seen.page) == "skip"
    seen.page.keyboard.press("Enter")
    assert focused(seen.page) == "contenu"
    seen.page.keyboard.press("/")
    assert focused(seen.page) == "q"
    seen.page.keyboard.type("[?")
    assert seen.page.input_value("#q") == "[?"
    seen.page.fill("#q", LEAVE)
    seen.page.keyboard.press("Control+Enter")
    expect(seen.page.locator(".stub")).to_be_visible()
    seen.page.locator("#contenu").focus()
    seen.page.keyboard.press("?")
    expect(seen.page.locator("#raccourcis")).to_be_visible()
    assert seen.violations() == []
    seen.page.check("[data-keys-off]")
    seen.page.keyboard.press("Escape")
    seen.page.keyboard.press("?")
    expect(seen.page.locator("#raccourcis")).to_be_hidden()


def test_the_theme_is_kept_from_page_to_page(seen: Watched) -> None:
    seen.open("/question")
    for wanted in ("clair", "sombre"):
        seen.page.click("[data-theme-toggle]")
        assert seen.page.evaluate("document.documentElement.dataset.theme") == wanted
    seen.open("/recu")
    assert seen.page.evaluate("document.documentElement.dataset.theme") == "sombre"
    seen.page.click("[data-theme-toggle]")
    assert seen.page.evaluate("document.documentElement.dataset.theme ?? null") is None


def test_the_menu_of_a_phone_opens_and_closes(seen: Watched) -> None:
    seen.page.set_viewport_size({"width": 390, "height": 844})
    seen.open("/question")
    menu = seen.page.locator("#navigation")
    expect(menu).to_be_hidden()
    seen.page.click("[popovertarget=navigation]")
    expect(menu).to_be_visible()
    assert seen.violations() == []
    seen.page.keyboard.press("Escape")
    expect(menu).to_be_hidden()


def test_the_end_of_the_session_is_announced_and_one_button_stays(seen: Watched) -> None:
    seen.open("/recu")
    seen.page.evaluate(
        """() => { const dialog = document.getElementById('fin-session');
        dialog.dataset.until = Math.floor(Date.now() / 1000) + 90; }"""
    )
    seen.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(seen.page.locator("#fin-session")).to_be_visible()
    assert seen.violations() == []
    seen.page.click("#fin-session button")
    expect(seen.page.locator("#fin-session")).to_be_hidden()
    assert seen.page.url.endswith("/recu")


def test_everything_but_streaming_works_without_javascript(
    stand: Stand, browser: Browser
) -> None:
    stand.engine.words = list(ANSWER)
    cookie, _ = stand.sign_in(f"b.sobre-{uuid.uuid4().hex[:6]}")
    with watched(browser, stand, cookie, java_script_enabled=False) as seen:
        seen.page.goto(f"{stand.origin}/question")
        ask(seen.page)
        expect(seen.page.locator(".stub")).to_be_visible()
        seen.page.locator(".answer .cite").first.click()
        expect(seen.page.locator("mark#passage")).to_contain_text("quinze jours")
        seen.page.goto(f"{stand.origin}/documents/notes")
        expect(seen.page.locator(".drop button")).to_be_visible()


def test_the_verdict_of_the_visit_names_the_record(seen: Watched) -> None:
    seen.open("/visite")
    seen.page.fill("#ma-question", LEAVE)
    seen.page.click(".visit > li:nth-child(1) button")
    expect(seen.page.locator("#q")).to_have_value(LEAVE)
    seen.page.click("#envoyer")
    expect(seen.page.locator(".stub")).to_be_visible()
    seen.page.click(".visit-bar a")
    seen.page.click(".visit > li:nth-child(5) button")
    expect(seen.page.locator("#verdict-copie")).to_contain_text("refusé")
    assert seen.violations() == []

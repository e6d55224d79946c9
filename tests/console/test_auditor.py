"""An auditor's path in a real browser: search, open, take; then tar and python3 alone."""

import shutil
import subprocess
from pathlib import Path

from playwright.sync_api import Browser, expect

from appliance.audit.exported import verifier
from tests.console.browser import watched
from tests.console.pages.test_exports import write
from tests.console.pages.test_journal import record_of
from tests.console.stand import Stand, person

WHOLE = {0, 3, 4}  # verified; perhaps not anchored, perhaps with findings


def test_an_auditor_searches_opens_takes_and_verifies_with_nothing_of_ours(
    stand: Stand, browser: Browser, tmp_path: Path
) -> None:
    with person(stand, "c.parcours") as asker:
        record = record_of(asker)
    stand.indexed()
    cookie, _ = stand.sign_in("i.parcours", roles=["auditeur"], groups=[])
    with watched(browser, stand, cookie, accept_downloads=True) as seen:
        page = seen.page
        seen.open("/journal")
        page.fill("#q", "c.parcours")
        page.select_option("#type", "llm.completion")
        page.get_by_role("button", name="Chercher").click()
        page.locator(f"#resultats a[href='/journal/{record}']").click()
        expect(page.locator("section[aria-labelledby=preuve]")).to_contain_text("vérifiée")

        page.get_by_role("link", name="Exports").click()
        page.get_by_label("rapport PDF").uncheck()
        page.get_by_role("button", name="Préparer l’export").click()
        expect(page.locator("#export")).to_contain_text("en cours")
        write(stand)
        link = page.get_by_role("link", name="Télécharger")
        expect(link).to_be_visible(timeout=15_000)  # the page looks again by itself
        with page.expect_download() as given:
            link.click()
        given.value.save_as(tmp_path / "export.tar")
    verify(tmp_path, stand.site.folder / "verifier-key")


def verify(folder: Path, key: Path) -> None:
    """Verify what was taken, with what a bare machine has and the auditor brought along."""
    tar, python = (shutil.which(name, path="/usr/bin:/bin") for name in ("tar", "python3"))
    assert tar
    assert python
    subprocess.run([tar, "-xf", "export.tar"], cwd=folder, check=True)
    (folder / "verify.py").write_text(verifier(), "utf-8")
    (taken,) = [path for path in folder.iterdir() if path.is_dir()]
    argv = [python, "-I", "verify.py", taken.name, "--key", str(key)]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in WHOLE, done.stdout + done.stderr
    leaf = next(taken.glob("tile/entries/**/*.p/*"), None) or next(taken.glob("tile/entries/*"))
    data = bytearray(leaf.read_bytes())
    data[40] ^= 1
    leaf.write_bytes(data)
    forged = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert forged.returncode not in WHOLE

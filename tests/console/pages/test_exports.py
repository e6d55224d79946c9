"""The page of exports: asking, waiting, taking; each on record, each one's own."""

import io
import tarfile
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from appliance.audit.client import RecorderClient
from appliance.audit.exporting.writing import Writing
from appliance.audit.volume import VERIFIER_KEY
from appliance.db.pool import Pool
from tests.console.pages.test_journal import record_of
from tests.console.stand import Person, Stand, found_in, person, text_of, values_of


def write(stand: Stand) -> None:
    """Let the worker write what waits."""
    keys = stand.site.log.directory / VERIFIER_KEY
    keys.write_text((stand.site.folder / "verifier-key").read_text())
    out = stand.settings.exports
    assert out is not None

    async def work() -> None:
        client = RecorderClient(stand.site.log.socket, "worker")
        await client.connect()
        pool: Pool = AsyncConnectionPool(stand.worker, open=False, min_size=1)
        try:
            async with pool:
                one = Writing(pool, client, stand.site.log.directory, out)
                while await one.write_next():
                    pass
        finally:
            await client.close()

    stand.loop.run(work())


def ask(auditor: Person) -> str:
    """Ask for an export; return the address of its page."""
    answer = auditor.post("/journal/export", forme=["jsonl", "csv"], marquage="1")
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_an_auditor_asks_waits_and_takes_and_all_of_it_is_on_record(
    stand: Stand, clara: Person, auditor: Person
) -> None:
    record_of(clara)
    stand.indexed()
    auditor.get("/journal/0/recu")  # a proof: everything up to here is signed
    href = ask(auditor)
    asked = stand.leaves()[-1]
    assert b"casemate.audit.export.v1" in asked
    assert b'"state":"begin"' in asked

    waiting = auditor.get(href)
    assert "en cours" in text_of(waiting, "//section[@aria-labelledby='prep']")
    assert found_in(waiting, "//progress")
    assert auditor.get(f"{href}/dossier").status_code == 404

    write(stand)
    ready = auditor.get(href)
    assert "prêt" in text_of(ready, "//section[@aria-labelledby='prep']")
    part = auditor.get(href, **{"hx-request": "true"})
    assert part.status_code == 200
    assert "prêt" in part.text
    assert not found_in(part, "//h1")
    taken = auditor.get(values_of(ready, "//a[@download]/@href")[0])
    assert b'"state":"taken"' in stand.leaves()[-1]
    with tarfile.open(fileobj=io.BytesIO(taken.content)) as tar:
        names = tar.getnames()
    assert any(name.endswith("/SHA256SUMS") for name in names)
    assert "usage-interne" in names[0]
    assert href in values_of(auditor.get("/journal/export"), "//tbody//a/@href")


def test_a_transfer_that_was_cut_goes_on_where_it_stopped(
    stand: Stand, auditor: Person
) -> None:
    stand.indexed()
    href = ask(auditor)
    write(stand)
    whole = auditor.get(f"{href}/dossier").content
    rest = auditor.get(f"{href}/dossier", range=f"bytes={len(whole) - 100}-")
    assert rest.status_code == 206
    assert rest.content == whole[-100:]


def test_an_export_is_its_owners(stand: Stand, auditor: Person, clara: Person) -> None:
    stand.indexed()
    href = ask(auditor)
    with person(stand, "autre.auditrice", roles=["auditeur"], groups=[]) as other:
        assert other.get(href).status_code == 404
        assert other.get(f"{href}/dossier").status_code == 404
        assert href not in other.get("/journal/export").text
    assert auditor.get(f"/exports/{UUID(int=5)}").status_code == 404
    for path in ("/journal/export", href, f"{href}/dossier"):
        assert clara.get(path).status_code == 403
    assert clara.post("/journal/export").status_code == 403


def test_what_the_form_does_not_offer_is_refused(stand: Stand, auditor: Person) -> None:
    stand.indexed()
    wrong: list[dict[str, Any]] = [
        {"forme": "exe"},
        {"marquage": "99"},
        {"du": "hier"},
        {"marquage": "x"},
    ]
    for fields in wrong:
        assert auditor.post("/journal/export", **fields).status_code == 400, fields
    nothing = auditor.post("/journal/export", du="1999-01-01", au="1999-01-02")
    assert nothing.status_code == 409
    assert "CM-JRN-33" in nothing.text


def test_a_site_that_writes_none_gives_the_command(stand: Stand, auditor: Person) -> None:
    out = stand.settings.exports
    object.__setattr__(stand.settings, "exports", None)  # the model is frozen
    try:
        page = auditor.get("/journal/export")
        assert "casemate audit export" in text_of(page, "//main//pre")
        assert not found_in(page, "//main//form")
    finally:
        object.__setattr__(stand.settings, "exports", out)

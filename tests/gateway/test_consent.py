"""Two people, one token each, let the reader open one record; nobody else opens anything."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from appliance.audit.client import RefusedError
from appliance.audit.event import Kind as Type
from appliance.audit.event import fact
from appliance.audit.reading import serving
from appliance.audit.reading.client import ReaderClient, ReaderError
from appliance.audit.reading.reader import fingerprint
from appliance.identity.principal import Scope
from tests import recording
from tests.gateway.engine import engine
from tests.gateway.reading import reader_settings
from tests.gateway.stand import (
    POLICY,
    ROOT,
    Client,
    Site,
    await_socket,
    eventually,
    gateway,
    kinds,
    records,
)

SECRET = "Le code du coffre est quatre-vingt-sept."
AUDITOR: dict[str, Any] = {"roles": ["auditeur"], "groups": [], "acr": "2"}
RSSI: dict[str, Any] = {"roles": ["rssi"], "groups": [], "acr": "2"}


@asynccontextmanager
async def reader(site: Site, **changes: Any) -> AsyncIterator[ReaderClient]:
    """Run the reader in this loop."""
    wanted, told = reader_settings(site, **changes), asyncio.Event()
    task = asyncio.create_task(serving.serve(wanted, told))
    while not wanted.socket.exists():
        await asyncio.sleep(0.02)
        assert not task.done(), task.exception()
    try:
        yield ReaderClient(wanted.socket)
    finally:
        told.set()
        await task


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[tuple[ReaderClient, Client, int]]:
    """Run reader and gateway; lend them, and the record of an answer."""
    roles = POLICY.roles | {
        "rssi": [Scope.CONTENT_APPROVE], "auditeur": [Scope.CONTENT_APPROVE],
    }  # fmt: skip
    site.set_policy(roles=roles)
    async with engine(site.engine) as chat, reader(site) as asked:
        chat.words = ["Réponse ", "gardée."]
        async with gateway(site, reader_key=f'"{site.folder}/reader.pub"') as ana:
            yield asked, ana, await answered(site, ana)


async def answered(site: Site, ana: Client) -> int:
    """Ask, and return the record once its content is in the database."""
    status, body, _ = await ana.chat(SECRET)
    assert status == 200
    record = int(body["casemate"]["receipt"]["index"])
    rows = serving.Database(_pool(site))
    async with rows._pool:

        async def kept() -> bool:
            return await rows.find(record) is not None

        await eventually(kept)
    return record


def _pool(site: Site) -> Any:
    return AsyncConnectionPool(
        make_conninfo(site.database, user="casemate_opener"), open=False, min_size=1, max_size=1
    )


async def approve(who: Client, record: int, reason: str = "Plainte 12") -> int:
    """Approve as the console does, and return the leaf."""
    status, body, _ = await who.post(
        "/v1/content/approve", {"record": record, "reason": reason}
    )
    assert status == 200, body
    return int(body["receipt"]["index"])


async def refused(work: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        await work
    return caught.value.code


def test_two_people_open_one_record_once_and_the_log_says_so_first(site: Site) -> None:
    async def main() -> None:
        async with served(site) as (asked, ana, record):
            auditor, rssi = ana.as_("ines", **AUDITOR), ana.as_("rene", **RSSI)
            assert await refused(asked.open(record)) == "CM-JRN-51"
            await asked.note(await approve(auditor, record))
            assert [(p.record, p.role) for p in await asked.pending()] == [(record, "auditeur")]
            assert await refused(asked.open(record)) == "CM-JRN-51"
            await asked.note(await approve(rssi, record))
            opened = await asked.open(record)
            assert (opened.question, opened.answer) == (SECRET, "Réponse gardée.")
            assert await asked.pending() == []
            assert await refused(asked.open(record)) == "CM-JRN-51"
            events = await records(site)
            read = events[opened.read]
            assert kinds([read]) == ["content.read"]
            given = [i for i, e in enumerate(events) if "content.approve" in e["type"]]
            assert [read["data"]["auditeur"], read["data"]["rssi"]] == given
            assert read["data"]["record"] == record
            denied = [e for e in events if e["type"] == "casemate.authz.denied.v1"]
            assert [e["data"]["reason"] for e in denied] == ["CM-JRN-51"] * 3
            assert SECRET not in json.dumps(events, ensure_ascii=False)

    asyncio.run(main())


def test_used_approvals_stay_used_over_a_restart_of_the_reader(site: Site) -> None:
    async def main() -> None:
        async with served(site) as (asked, ana, record):
            leaves = [
                await approve(ana.as_(name, **role), record)
                for name, role in (("ines", AUDITOR), ("rene", RSSI))
            ]
            for leaf in leaves:
                await asked.note(leaf)
            await asked.open(record)
        async with reader(site) as again:
            for leaf in leaves:
                assert await refused(again.note(leaf)) == "CM-JRN-52"
            assert await refused(again.open(record)) == "CM-JRN-51"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("subject", "claims", "code"),
    [
        pytest.param("ana", {}, "CM-DRT-01", id="a user"),
        pytest.param("ines", {**AUDITOR, "acr": "1"}, "CM-IDE-04", id="no fresh code"),
        pytest.param("ines", {**AUDITOR, "auth_time": 1}, "CM-IDE-04", id="an old code"),
    ],
)
def test_who_may_not_approve_is_refused_and_leaves_no_approval(
    site: Site, subject: str, claims: dict[str, Any], code: str
) -> None:
    async def main() -> None:
        async with served(site) as (_, ana, record):
            body = {"record": record, "reason": "Plainte 12"}
            who = ana.as_(subject, **claims)
            status, answer, _ = await who.post("/v1/content/approve", body)
            assert (status, answer["error"]["code"]) == (403, code)
            body["reason"] = "  "
            status, answer, _ = await ana.as_("i", **AUDITOR).post("/v1/content/approve", body)
            assert (status, answer["error"]["code"]) == (400, "CM-NET-01")
            assert not [k for k in kinds(await records(site)) if k == "content.approve"]

    asyncio.run(main())


def test_a_hostile_console_alone_opens_nothing(site: Site) -> None:
    """It may write what it likes into the log, but not as a gateway, and asks in vain."""

    async def main() -> None:
        async with served(site) as (_, _ana, record):
            pass
        async with reader(site, gateways={os.getuid() + 1}) as asked:
            with recording.RawClient(site.log.socket) as console:
                forged = [
                    console.append(
                        fact(
                            Type.CONTENT_APPROVE, name, f"forged-{name:-<16}",
                            record=record, role=role, reason="Plainte 12",
                        )
                    )["index"]
                    for name, role in (("ines", "auditeur"), ("rene", "rssi"))
                ]  # fmt: skip
            for leaf in [*forged, 0, record, 10**6]:
                assert await refused(asked.note(leaf)) == "CM-JRN-52"
            assert await refused(asked.open(record)) == "CM-JRN-51"

    asyncio.run(main())


def test_whoever_is_not_the_console_gets_no_answer(site: Site) -> None:
    async def main() -> None:
        async with reader(site, clients={os.getuid() + 1}) as asked:
            with pytest.raises(ReaderError):
                await asked.pending()

    asyncio.run(main())


def test_two_approvals_of_one_role_or_for_another_record_open_nothing(site: Site) -> None:
    async def main() -> None:
        async with served(site) as (asked, ana, record):
            other = await answered(site, ana)
            await asked.note(await approve(ana.as_("ines", **AUDITOR), record))
            await asked.note(await approve(ana.as_("igor", **AUDITOR), record))
            await asked.note(await approve(ana.as_("rene", **RSSI), other))
            assert await refused(asked.open(record)) == "CM-JRN-51"
            assert await refused(asked.open(other)) == "CM-JRN-51"

    asyncio.run(main())


def test_what_no_content_came_with_or_what_was_erased_does_not_open(site: Site) -> None:
    async def main() -> None:
        async with served(site) as (asked, ana, record):
            for target in (0, record):
                for name, role in (("ines", AUDITOR), ("rene", RSSI)):
                    await asked.note(await approve(ana.as_(name, **role), target))
            assert await refused(asked.open(0)) == "CM-JRN-55"
            with recording.RawClient(site.log.socket) as worker:
                erase = fact(
                    Type.CONTENT_ERASE, "w", "erase-".ljust(20, "-"), first=0, end=record + 1
                )
                assert not worker.append(erase).get("error")
            assert await refused(asked.open(record)) == "CM-JRN-04"
            assert "content.read" not in kinds(await records(site))

    asyncio.run(main())


def test_the_month_s_key_is_made_recorded_and_published_before_it_is_used(site: Site) -> None:
    async def main() -> None:
        async with reader(site):
            public = (site.folder / "reader.pub").read_bytes()
            (issued,) = [e for e in await records(site) if e["type"] == "casemate.key.issue.v1"]
            assert issued["data"]["sha256"] == fingerprint(public)
        async with reader(site):
            assert (site.folder / "reader.pub").read_bytes() == public
            found = [e for e in await records(site) if e["type"] == "casemate.key.issue.v1"]
            assert len(found) == 1

    asyncio.run(main())
    (only,) = (site.folder / "months").glob("*.key")
    assert only.stat().st_mode & 0o777 == 0o400


@pytest.mark.process
def test_the_command_serves_until_it_is_told_to_end(site: Site) -> None:
    settings = reader_settings(site)
    lists = [f"{name} = {sorted(getattr(settings, name))}" for name in ("clients", "gateways")]
    texts = [
        f'{name} = "{value}"'
        for name, value in settings.model_dump().items()
        if name not in {"clients", "gateways"}
    ]
    path = site.folder / "reader.toml"
    path.write_text("\n".join([*lists, *texts, ""]))
    words = ["audit", "reader", "serve", "--settings", str(path)]
    argv = [sys.executable, "-m", "appliance.cli", *words]
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE)
    site.processes.append(process)
    await_socket(settings.socket, process)
    assert asyncio.run(ReaderClient(settings.socket).pending()) == []
    assert settings.socket.stat().st_mode & 0o777 == 0o660
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said.decode()
    assert not settings.socket.exists()

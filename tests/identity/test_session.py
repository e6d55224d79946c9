"""Sessions of the console against the real Keycloak and PostgreSQL, with several workers."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import uvicorn

from appliance.identity import session as module
from appliance.identity import store
from appliance.identity.login import IdentityUnavailableError, Tokens
from appliance.identity.principal import (
    SecondFactorError,
    UnauthenticatedError,
    check_elevated,
)
from appliance.identity.sealing import Seal
from appliance.identity.session import (
    ForgeryError,
    Session,
    check_csrf,
    check_origin,
    cookie_name,
)
from tests.identity.browser import Browser
from tests.identity.console import Worker, build, working
from tests.identity.waiting import next_code, until
from tests.identity_server import PASSWORD, SECRETS, Site

Work = Callable[..., Awaitable[None]]


def run(site: Site, dsn: str, work: Work, *, workers: int = 1) -> None:
    async def inner() -> None:
        async with AsyncExitStack() as stack:
            made = [
                await stack.enter_async_context(
                    working(site.realm, dsn, site.origin, SECRETS["console"])
                )
                for _ in range(workers)
            ]
            await work(*made)

    asyncio.run(inner())


async def sign_in(
    worker: Worker, site: Site, name: str, otp: str = "", browser: Browser | None = None
) -> tuple[str, Session]:
    url, cookie = worker.party.begin("/")
    browser = browser or site.browser()
    query = await asyncio.to_thread(browser.login, url, name, PASSWORD, otp)
    tokens, _ = await worker.party.finish(query, cookie)
    return await worker.sessions.open(tokens)


def age(dsn: str, seconds: float) -> None:
    """Let the access tokens of all sessions have `seconds` left."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    with psycopg.connect(dsn) as conn:
        conn.execute("UPDATE console_session SET fresh_until = %s", [until])


def sessions(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT FROM console_session").rowcount


def count_refreshes(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    refresh = worker.party.refresh

    async def counting(token: str) -> Tokens:
        asked.append(token)
        return await refresh(token)

    monkeypatch.setattr(worker.party, "refresh", counting)
    return asked


def test_a_session_holds_its_tokens_sealed_and_is_found_by_its_cookie(
    site: Site, console_database: str
) -> None:
    name, subject = site.person("utilisateur", groups=("/equipes/rh",))

    async def work(worker: Worker) -> None:
        cookie, opened = await sign_in(worker, site, name)
        assert await worker.sessions.find(cookie) == opened
        assert (opened.caller.subject, opened.caller.clearance) == (subject, 2)
        with pytest.raises(UnauthenticatedError):
            await worker.sessions.find(cookie[:-1])
        with psycopg.connect(console_database) as conn:
            row = conn.execute("SELECT * FROM console_session").fetchone()
        for secret in (cookie, opened.access, opened.csrf):
            assert secret not in str(row)
            assert secret.encode() not in b"".join(v for v in row or () if isinstance(v, bytes))

    run(site, console_database, work)


def test_two_workers_refresh_a_session_once(
    site: Site, console_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = site.person("utilisateur")

    async def work(one: Worker, two: Worker) -> None:
        cookie, before = await sign_in(one, site, name)
        asked = [count_refreshes(one, monkeypatch), count_refreshes(two, monkeypatch)]
        for left in (20, 2):  # goes on with what is left, and waits when that is nothing
            age(console_database, left)
            finding = [w.sessions.find(cookie) for w in (one, two) * 4]
            found = await asyncio.gather(*finding)
            assert {s.caller.subject for s in found} == {before.caller.subject}
            assert {s.csrf for s in found} == {before.csrf}
            assert sum(map(len, asked)) == (1 if left == 20 else 2)

    run(site, console_database, work, workers=2)


def test_a_fresh_token_is_not_refreshed(
    site: Site, console_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = site.person("utilisateur")

    async def work(worker: Worker) -> None:
        cookie, _ = await sign_in(worker, site, name)
        asked = count_refreshes(worker, monkeypatch)
        await worker.sessions.find(cookie)
        assert not asked

    run(site, console_database, work)


def test_who_is_disabled_is_out_at_the_next_refresh_and_the_session_is_forgotten(
    site: Site, console_database: str
) -> None:
    name, subject = site.person("utilisateur")

    async def work(worker: Worker) -> None:
        cookie, _ = await sign_in(worker, site, name)
        site.admin().write("put", f"/users/{subject}", {"enabled": False}, "disabled")
        age(console_database, 10)
        with pytest.raises(UnauthenticatedError):
            await worker.sessions.find(cookie)
        assert sessions(console_database) == 0
        site.admin().write("put", f"/users/{subject}", {"enabled": True}, "enabled")
        with pytest.raises(UnauthenticatedError):  # Keycloak would take the old session again
            await worker.sessions.find(cookie)

    run(site, console_database, work)


def test_a_role_granted_in_mid_session_needs_a_new_sign_in(
    site: Site, console_database: str
) -> None:
    name, subject = site.person("utilisateur")

    async def work(worker: Worker) -> None:
        cookie, opened = await sign_in(worker, site, name)
        admin = site.admin()
        role = admin.get("/roles/rssi")
        admin.write("post", f"/users/{subject}/role-mappings/realm", [role], "granted")
        age(console_database, 10)
        with pytest.raises(SecondFactorError):
            await worker.sessions.find(cookie)
        with pytest.raises(ForgeryError):
            await worker.sessions.close(cookie, "forged")
        address = await worker.sessions.close(cookie, opened.csrf)
        assert "/protocol/openid-connect/logout?id_token_hint=" in address

    run(site, console_database, work)


def test_a_change_of_group_gives_the_session_a_new_token(
    site: Site, console_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, subject = site.person("utilisateur", groups=("/equipes/rh",))

    async def work(worker: Worker) -> None:
        cookie, opened = await sign_in(worker, site, name)
        asked = count_refreshes(worker, monkeypatch)
        admin = site.admin()
        (group,) = admin.get(f"/users/{subject}/groups")
        admin.write("delete", f"/users/{subject}/groups/{group['id']}", {}, "left")
        await asyncio.sleep(1)  # a token says its second of issue only
        async with worker.pool.connection() as conn:
            await store.revoke(conn, "group", ["/equipes/rh"])
        await asyncio.sleep(1)
        await worker.authenticator.revocations.read()
        found = await worker.sessions.find(cookie)
        assert (found.caller.groups, found.caller.clearance) == ((), 0)
        assert found.access != opened.access
        assert len(asked) == 1

    run(site, console_database, work)


def test_signing_out_ends_the_session_on_every_worker_and_at_keycloak(
    site: Site, console_database: str
) -> None:
    name, _ = site.person("utilisateur")

    async def work(one: Worker, two: Worker) -> None:
        browser = site.browser()
        cookie, opened = await sign_in(one, site, name, browser=browser)
        address = await one.sessions.close(cookie, opened.csrf)
        await two.authenticator.revocations.read()
        bearer = b"Bearer " + opened.access.encode()
        with pytest.raises(UnauthenticatedError, match="ended"):
            await two.authenticator.principal(bearer)
        answer = await asyncio.to_thread(browser.ask, address)
        assert answer.location == f"{site.origin}/"
        url, _ = one.party.begin("/")
        assert "password" in (await asyncio.to_thread(browser.ask, url)).fields
        assert await one.sessions.close(cookie, opened.csrf) == "/"

    run(site, console_database, work, workers=2)


def test_while_keycloak_is_away_a_session_lives_as_long_as_its_token(
    site: Site, console_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = site.person("utilisateur")

    async def work(worker: Worker) -> None:
        cookie, opened = await sign_in(worker, site, name)

        async def away(_: str) -> Tokens:
            raise IdentityUnavailableError("away")

        with monkeypatch.context() as patch:
            patch.setattr(worker.party, "refresh", away)
            for left in (20, 2):
                age(console_database, left)
                assert (await worker.sessions.find(cookie)).caller == opened.caller
            age(console_database, -1)
            with pytest.raises(IdentityUnavailableError):
                await worker.sessions.find(cookie)
        assert sessions(console_database) == 1
        await worker.sessions.find(cookie)  # and goes on when it is back

    run(site, console_database, work)


def test_a_step_up_changes_the_cookie_keeps_the_forms_and_elevates(
    site: Site, console_database: str
) -> None:
    name, _ = site.person("rssi")

    async def work(worker: Worker) -> None:
        browser = site.browser()
        first, opened = await sign_in(worker, site, name, await next_code(name), browser)
        url, login = worker.party.begin("/", step_up=True)
        code = await next_code(name)
        query = await asyncio.to_thread(browser.login, url, name, PASSWORD, code)
        tokens, _ = await worker.party.finish(query, login)
        second, raised = await worker.sessions.open(tokens, previous=first)
        assert first != second
        assert raised.csrf == opened.csrf
        check_elevated(raised.caller, raised.caller.signed_in)
        with pytest.raises(UnauthenticatedError):
            await worker.sessions.find(first)
        assert raised.ends_at - datetime.now(UTC) <= module.LIVES[True][0]

    run(site, console_database, work)


def test_the_forms_of_another_person_are_not_taken_over(
    site: Site, console_database: str
) -> None:
    names = [site.person("utilisateur")[0] for _ in range(2)]

    async def work(worker: Worker) -> None:
        first, opened = await sign_in(worker, site, names[0])
        url, login = worker.party.begin("/")
        query = await asyncio.to_thread(site.browser().login, url, names[1], PASSWORD)
        tokens, _ = await worker.party.finish(query, login)
        _, other = await worker.sessions.open(tokens, previous=first)
        assert other.csrf != opened.csrf
        with pytest.raises(UnauthenticatedError):
            await worker.sessions.find(first)

    run(site, console_database, work)


def test_a_session_sealed_under_another_key_is_no_session(
    site: Site, console_database: str
) -> None:
    name, _ = site.person("utilisateur")

    async def work(worker: Worker) -> None:
        cookie, _ = await sign_in(worker, site, name)
        worker.sessions._seal = Seal(b"x" * 32, "session")
        with pytest.raises(UnauthenticatedError):
            await worker.sessions.find(cookie)

    run(site, console_database, work)


@contextmanager
def serving(site: Site, dsn: str) -> Iterator[Any]:
    """Serve the console where Keycloak announces logouts."""
    app = build(site.realm, dsn, site.origin, SECRETS["console"])
    port = urlsplit(site.origin).port
    assert port is not None
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.05)
        yield app
    finally:
        server.should_exit = True
        thread.join()


@asynccontextmanager
async def processes(site: Site, dsn: str, count: int) -> AsyncIterator[list[Any]]:
    argv = [sys.executable, "-m", "tests.identity.worker"]
    argv += [site.realm.issuer, site.realm.backchannel, dsn]
    pipe = subprocess.PIPE
    made = [
        await asyncio.to_thread(subprocess.Popen, argv, stdin=pipe, stdout=pipe, text=True)
        for _ in range(count)
    ]
    try:
        yield made
    finally:
        for one in made:
            one.communicate()  # its input ends: it leaves


def ask(workers: list[Any], access: str) -> list[str]:
    answers = []
    for one in workers:
        one.stdin.write(f"Bearer {access}\n")
        one.stdin.flush()
        answers.append(one.stdout.readline().strip())
    return answers


def test_an_ended_session_and_a_disabled_person_are_out_on_every_worker_within_a_minute(
    site: Site, console_database: str, gateway_database: str
) -> None:
    """Keycloak announces the first to the console, and says nothing of the second."""
    people = [site.person("utilisateur") for _ in range(2)]

    async def refused(workers: list[Any], access: str) -> None:
        while (answers := set(ask(workers, access))) != {"CM-IDE-01"}:
            assert "CM-IDE-03" not in answers
            await asyncio.sleep(0.5)

    async def work(worker: Worker) -> None:
        opened = [await sign_in(worker, site, name) for name, _ in people]
        async with processes(site, gateway_database, 3) as workers:
            for (_, session), (_, subject) in zip(opened, people, strict=True):
                assert ask(workers, session.access) == [subject] * 3
            admin = site.admin()
            admin.write("post", f"/users/{people[0][1]}/logout", {}, "ended")
            admin.write("put", f"/users/{people[1][1]}", {"enabled": False}, "disabled")
            await refused(workers, opened[0][1].access)
            assert time.time() < opened[0][1].caller.until  # revoked, not expired
            await refused(workers, opened[1][1].access)
            assert opened[1][1].caller.until - opened[1][1].caller.signed_in <= 60
            for cookie, _ in opened:
                with pytest.raises(UnauthenticatedError):
                    await worker.sessions.find(cookie)

    with serving(site, console_database):
        run(site, console_database, work)


def test_an_announced_logout_closes_the_session_of_the_console(
    site: Site, console_database: str
) -> None:
    name, subject = site.person("utilisateur")

    async def work(worker: Worker) -> None:
        cookie, _ = await sign_in(worker, site, name)
        site.admin().write("post", f"/users/{subject}/logout", {}, "ended")
        await until(lambda: sessions(console_database) == 0)
        with pytest.raises(UnauthenticatedError):
            await worker.sessions.find(cookie)

    with serving(site, console_database):
        run(site, console_database, work)


def test_the_token_of_a_form_is_that_of_its_session() -> None:
    check_csrf("token", "token")
    for given in ("", "Token", "token ", "é"):
        with pytest.raises(ForgeryError):
            check_csrf("token", given)


def test_a_request_from_a_page_of_another_origin_is_refused() -> None:
    check_origin("https://casemate.example", "https://casemate.example")
    check_origin(None, "https://casemate.example")
    for origin in ("null", "https://evil.example", "http://casemate.example", ""):
        with pytest.raises(ForgeryError):
            check_origin(origin, "https://casemate.example")


def test_the_cookie_is_bound_to_its_host_where_there_is_tls() -> None:
    assert cookie_name("https://casemate.example").startswith("__Host-")
    assert cookie_name("http://localhost:8080") == "casemate"

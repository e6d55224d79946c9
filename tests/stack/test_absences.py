"""Engine, embedder and Keycloak go away, twice each: said within 5 s, and back without a hand.

Away is not a blink: the supervisor would have a killed engine back in a second. One whose
settings are gone is started again and again until they are back.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from signal import SIGKILL

import aiohttp
import pytest
from lxml import html

from appliance.site.visitor import Page, VisitError, Visitor
from tests.stack.conftest import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SAID = 5  # seconds in which a person is told
BACK = 90  # seconds
QUESTION = "Combien de jours de télétravail sont possibles par semaine ?"


@contextmanager
def gone(stack: RunningStack, name: str) -> Iterator[None]:
    """Kill a program, and keep it from starting."""
    file = stack.folder.toml(name)
    away = file.with_suffix(".away")
    file.rename(away)
    _signal(stack.pids[name], SIGKILL)
    try:
        yield
    finally:
        away.rename(file)


def _signal(pid: int, number: int) -> None:
    os.kill(pid, number)


async def sign_in(stack: RunningStack, visitor: Visitor) -> None:
    person = stack.person("camille")
    await visitor.sign_in(person.username, person.password, None)


async def ask(visitor: Visitor) -> Page:
    """Ask on the page, and return it within the time in which a person is told."""
    page = await visitor.get("/question")
    (form,) = (f for f in page.root.forms if f.action.endswith("/question"))
    fields = [(k, str(v)) for k, v in form.form_values() if k not in {"q", "collection"}]
    data = aiohttp.FormData([*fields, ("q", QUESTION), ("collection", "procedures")])
    began = time.monotonic()
    async with visitor._http.post(
        page.address, data=data, headers={"Origin": visitor.origin}
    ) as answer:
        text = await answer.text()
    assert time.monotonic() - began < SAID
    return Page(str(answer.url), answer.status, html.fromstring(text))


def is_document_mode(page: Page) -> bool:
    return "Mode documents" in page.text("//main")


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = BACK) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.3)


@pytest.mark.parametrize("time_", [1, 2])
def test_without_the_engine_the_page_searches_and_quotes_and_returns_by_itself(
    stack: RunningStack, time_: int
) -> None:
    async def main() -> None:
        async with Visitor(stack.origin) as visitor:
            await sign_in(stack, visitor)
            assert not is_document_mode(await ask(visitor))
            with gone(stack, "engine"):
                page = await ask(visitor)
                assert is_document_mode(page), (time_, page.text("//main")[-1500:])
                assert "télétravail" in page.text("//main")

            async def answers() -> bool:
                return not is_document_mode(await ask(visitor))

            await until(answers)

    asyncio.run(main())


@pytest.mark.parametrize("time_", [1, 2])
def test_without_the_embedder_words_are_searched_and_vectors_return_by_themselves(
    stack: RunningStack, time_: int
) -> None:
    stack.await_vectors()
    before = stack.pids["embedder"]

    async def main() -> None:
        async with Visitor(stack.origin) as visitor:
            await sign_in(stack, visitor)
            _signal(before, SIGKILL)
            for _ in range(3):  # with a connection that breaks, then with none
                page = await ask(visitor)
                assert not is_document_mode(page)
                assert "télétravail" in page.text("//article[contains(@class, 'turn')][last()]")

    asyncio.run(main())
    deadline = time.monotonic() + 300
    while stack.pids["embedder"] == before:
        assert time.monotonic() < deadline, time_
        time.sleep(0.5)
    stack.await_vectors()


@pytest.mark.parametrize("time_", [1, 2])
def test_without_keycloak_sign_in_says_so_and_returns_by_itself(
    stack: RunningStack, time_: int
) -> None:
    before = stack.pids["keycloak"]

    async def signs_in() -> bool:
        async with Visitor(stack.origin) as visitor:
            began = time.monotonic()
            try:
                await sign_in(stack, visitor)
            except (VisitError, aiohttp.ClientError):
                assert time.monotonic() - began < SAID
                return False
            return True  # however long the first sign-in of a fresh JVM takes

    async def main() -> None:
        assert await signs_in()
        _signal(before, SIGKILL)  # the shell that runs Java: what is left of it ends with it

        async def is_started_again() -> bool:
            return stack.pids["keycloak"] != before

        await until(is_started_again)
        async with Visitor(stack.origin) as visitor:
            began = time.monotonic()
            page = await visitor.get("/connexion")
            assert time.monotonic() - began < SAID
            assert page.status == 503, time_
            assert page.text("//h1") == "Service momentanément indisponible"
        await until(signs_in)

    asyncio.run(main())

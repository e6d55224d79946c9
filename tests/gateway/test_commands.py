"""Several workers as processes: budgets, revocation, kills, the command that serves one."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import psycopg
import pytest

from appliance.audit.client import RecorderClient, new_id
from appliance.audit.event import BudgetChange
from appliance.audit.frame import State
from appliance.gateway.commands import configuration
from appliance.gateway.server import JoiningProtocol
from tests import recording
from tests.gateway.engine import engine
from tests.gateway.stand import (
    ROOT,
    Client,
    Json,
    Site,
    await_socket,
    calls,
    client,
    eventually,
    kinds,
    records,
)

WORKERS = [f"gateway-{n}" for n in range(4)]


@asynccontextmanager
async def workers(site: Site, names: list[str]) -> AsyncIterator[list[Client]]:
    """Start workers as processes, and lend HTTP to each."""
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(asyncio.to_thread(site.start_gateway, name) for name in names))
        yield [await stack.enter_async_context(client(site, name)) for name in names]


async def set_budget(site: Site, budget: str, limit: int) -> None:
    writer = RecorderClient(site.log.socket, "test")
    await writer.connect()
    change = BudgetChange(
        actor="test", budget=budget, hard=True, id=new_id(), limit=limit, period="day"
    )
    await writer.append(change)
    await writer.close()


async def state(site: Site, budget: str) -> State:
    reader = RecorderClient(site.log.socket, "test")
    await reader.connect()
    try:
        return await reader.status([budget])
    finally:
        await reader.close()


def counted(events: list[Json], budget: str) -> int:
    """Recompute what counts against a budget from the records alone."""
    amounts: dict[str, int] = {}
    for event in events:
        if kinds([event]) == ["llm.request"]:
            amounts[event["request"]] = event["reserve"].get(budget, 0)
        else:
            amounts[event["request"]] = event["spend"].get(budget, 0)
    return sum(amounts.values())


def test_five_hundred_requests_on_four_workers_never_pass_a_budget_for_a_hundred(
    site: Site,
) -> None:
    """Workers and the recorder are killed in the middle; the engine holds all calls."""

    async def main() -> None:
        async with engine(site.engine) as chat, workers(site, WORKERS) as lent:
            _, _, headers = await lent[0].as_("eve").chat("x", max_tokens=150)
            one = (await records(site, headers["x-casemate-request"]))[0]["reserve"]["user:eve"]
            await set_budget(site, "user:ana", 100 * one)
            chat.hold()
            asking = [
                asyncio.create_task(lent[n % 4].chat("x", max_tokens=150)) for n in range(500)
            ]

            async def full() -> bool:
                return chat.running == 100 and sum(t.done() for t in asking) == 400

            await eventually(full, 60)
            assert {(await t)[0] for t in asking if t.done()} == {402}
            assert await held(site) == (100 * one, 0)
            await kill_in_the_middle(site)

            async def closed() -> bool:
                ends = [e.get("finish") for e in await calls(site)]
                return ends.count("gateway_lost") == 100 - chat.running > 0

            await eventually(closed, 30)
            alive = chat.running
            assert 0 < alive < 100
            chat.held.set()
            answers = await asyncio.gather(*asking, return_exceptions=True)
            found = [a[0] for a in answers if not isinstance(a, BaseException)]
            assert (found.count(200), found.count(402)) == (alive, 400)
            events = [e for e in await calls(site) if e["actor"] == "ana"]
            assert Counter(kinds(events)) == {
                "llm.request": 100, "llm.completion": alive, "llm.interrupted": 100 - alive,
            }  # fmt: skip
            used = counted(events, "user:ana")
            assert await held(site) == (0, used)
            assert used <= 100 * one

    asyncio.run(main())


async def held(site: Site) -> tuple[int, int]:
    """Return what the recorder says is reserved and used of the budget."""
    budget = (await state(site, "user:ana")).budgets["user:ana"]
    return budget.reserved, budget.used


async def kill_in_the_middle(site: Site) -> None:
    """Kill two workers of four, and the recorder between them."""
    site.processes[1].kill()
    await asyncio.to_thread(site.restart_recorder)
    site.processes[2].kill()


def test_no_engine_is_called_without_an_intent_and_each_intent_has_one_end_under_kills(
    site: Site,
) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, workers(site, WORKERS[:2]) as lent:
            chat.words, chat.pause = ["mot "] * 5, 0.01
            stop = asyncio.Event()

            async def ask(one: Client) -> None:
                while not stop.is_set():
                    try:
                        await one.raw_stream()
                    except aiohttp.ClientError:  # a worker is gone: the log decides
                        await asyncio.sleep(0.05)

            load = [asyncio.create_task(ask(lent[n % 2])) for n in range(8)]
            for name in WORKERS[:2]:
                await asyncio.sleep(0.7)
                site.processes[-2].kill()
                await asyncio.to_thread(site.start_gateway, name)
                recording.end(site.recorder)
                site.recorder = await asyncio.to_thread(recording.start, site.log)
            await asyncio.sleep(0.7)
            stop.set()
            await asyncio.gather(*load)

            async def settled() -> bool:
                return (await state(site, "site")).open == 0

            await eventually(settled, 30)
            events = await calls(site)
            intents = [e["request"] for e in events if kinds([e]) == ["llm.request"]]
            ends = [e["request"] for e in events if kinds([e]) != ["llm.request"]]
            assert sorted(intents) == sorted(ends)
            assert len(set(intents)) == len(intents)
            assert 0 < len(chat.asked) <= len(intents)

    asyncio.run(main())


def test_a_revoked_session_is_out_on_every_worker(site: Site, console_database: str) -> None:
    async def main() -> None:
        async with engine(site.engine), workers(site, WORKERS) as lent:
            assert {(await one.chat())[0] for one in lent} == {200}
            with psycopg.connect(console_database) as conn:
                conn.execute(
                    "INSERT INTO revocation (kind, name) VALUES ('session', 'session-ana')"
                )

            async def out() -> bool:
                return {(await one.chat())[0] for one in lent} == {401}

            await eventually(out, 15)
            assert {(await one.as_("eve").chat())[0] for one in lent} == {200}

    asyncio.run(main())


def test_the_command_serves_and_ends_when_it_is_told(site: Site) -> None:
    argv = [sys.executable, "-m", "appliance.cli", "gateway", "serve", "--settings"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(site.folder)}
    with (site.folder / "processes.log").open("ab") as log:
        process = subprocess.Popen(
            [*argv, str(site.settings_file())], cwd=ROOT, env=environment, stderr=log
        )
    site.processes.append(process)

    async def main() -> None:
        await asyncio.to_thread(await_socket, site.folder / "gateway-0.sock", process)
        async with engine(site.engine), client(site) as ana:

            async def answered() -> bool:
                return (await ana.chat())[0] == 200

            await eventually(answered)

    asyncio.run(main())
    process.terminate()
    assert process.wait(20) in {0, -signal.SIGTERM}


@pytest.mark.parametrize("broken", ["site_secret", "policy", "history_key"])
def test_a_worker_without_what_it_needs_does_not_start(site: Site, broken: str) -> None:
    names = {
        "site_secret": "site-secret",
        "policy": "policy.json",
        "history_key": "history.pub",
    }
    (site.folder / names[broken]).unlink()
    argv = [sys.executable, "-m", "appliance.cli", "gateway", "serve", "--settings"]
    done = subprocess.run(
        [*argv, str(site.settings_file())], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"casemate: " in done.stderr
    assert b"Traceback" not in done.stderr


def test_uvicorn_says_and_logs_no_more_than_it_must(site: Site) -> None:
    async def nothing(*_: Any) -> None:
        """Serve nothing."""

    made = configuration(nothing, site.folder / "x.sock")
    assert made.http is JoiningProtocol
    assert not any([made.access_log, made.server_header, made.date_header])
    assert not made.proxy_headers

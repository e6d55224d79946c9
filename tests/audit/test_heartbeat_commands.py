import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner

from appliance.audit import heartbeat_commands
from appliance.audit.client import RecorderError
from appliance.audit.event import Fact, Kind
from appliance.audit.heartbeat_commands import app, beat
from appliance.rag.engine import METRICS, Engine
from appliance.settings import RecorderSettings
from appliance.trail_settings import HeartbeatSettings
from tests.audit.parts import leaves_of


@asynccontextmanager
async def pages(socket: Path, status: int = 200) -> AsyncIterator[None]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=METRICS.format(ended=6, since=9), status=status)

    application = web.Application()
    application.router.add_get("/metrics", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield
    finally:
        await runner.cleanup()


def beats(settings: RecorderSettings) -> list[Fact]:
    events = [leaf.event for leaf in leaves_of(settings)]
    return [e for e in events if isinstance(e, Fact) and e.kind is Kind.AUDIT_HEARTBEAT]


@pytest.mark.usefixtures("recorder")
def test_what_an_engine_counted_is_in_the_log_with_the_size_before(
    recorder_settings: RecorderSettings,
) -> None:
    with tempfile.TemporaryDirectory(prefix="cm-") as folder:
        socket = Path(folder) / "e"
        config = HeartbeatSettings(
            recorder=recorder_settings.socket, every=60,
            engines={"extraits": socket, "mistral": Path(folder) / "away"},
        )  # fmt: skip

        async def work() -> None:
            async with pages(socket):
                await beat(config)
            async with pages(socket, status=500):
                await beat(config)

        asyncio.run(work())
    first, second = beats(recorder_settings)
    assert first.data == {
        "every": 60, "size": 1, "engine_0": "extraits", "requests_0": 6, "since_0": 9,
        "engine_1": "mistral",
    }  # fmt: skip
    assert second.data == {
        "every": 60, "size": 2, "engine_0": "extraits", "engine_1": "mistral",
    }  # fmt: skip


def test_our_engine_counts_what_it_answered() -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        body = b'{"model": "m", "messages": [{"role": "user", "content": "q"}]}'
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def work() -> None:
        engine = Engine("m", version="1", now=lambda: 9.5, new_id=lambda: "x")
        for method, path in [("POST", "/v1/chat/completions"), ("GET", "/metrics")]:
            await engine({"type": "http", "method": method, "path": path}, receive, send)

    asyncio.run(work())
    assert sent[-1]["body"] == METRICS.format(ended=1, since=9).encode()


def test_without_a_recorder_there_is_no_heartbeat(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_commands, "PATIENCE", 0.2)
    with pytest.raises(RecorderError):
        asyncio.run(beat(HeartbeatSettings(recorder=recorder_settings.socket)))


def test_the_command_beats_once_or_again_and_again(
    recorder: subprocess.Popen[bytes], recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    file = tmp_path / "heartbeat.toml"
    file.write_text(f'recorder = "{recorder_settings.socket}"\nevery = 1\n')
    done = CliRunner().invoke(app, ["--settings", str(file)], catch_exceptions=False)
    assert done.exit_code == 0
    assert len(beats(recorder_settings)) == 1

    async def some() -> None:
        config = HeartbeatSettings(recorder=recorder_settings.socket, every=1)
        task = asyncio.create_task(heartbeat_commands._forever(config))
        await asyncio.sleep(1.5)
        task.cancel()

    asyncio.run(some())
    assert len(beats(recorder_settings)) >= 3
    assert recorder.poll() is None

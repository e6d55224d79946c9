"""A reader that is away or talks nonsense is said to be away."""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.audit.client import RefusedError
from appliance.audit.frame import pack
from appliance.audit.reading import client as tested
from appliance.audit.reading.client import ReaderClient, ReaderError
from appliance.audit.reading.frame import Answer

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(data: bytes) -> Talk:
    async def talk(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await source.read(100)
        sink.write(data)
        await _leave(sink)

    return talk


async def silent(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    await source.read()
    await _leave(sink)


async def _leave(sink: asyncio.StreamWriter) -> None:
    sink.close()
    with contextlib.suppress(OSError):
        await sink.wait_closed()


def asked(talk: Talk, work: Callable[[ReaderClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        with tempfile.TemporaryDirectory(prefix="cmr-") as folder:
            path = f"{folder}/s"
            server = await asyncio.start_unix_server(talk, path)
            async with server:
                try:
                    return await work(ReaderClient(Path(path)))
                finally:
                    await asyncio.sleep(0.1)  # the other side sees the end

    return asyncio.run(main())


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(says(b""), id="ends"), pytest.param(says(pack(b"[]")), id="no answer"),
        pytest.param(says(b"\xff" * 8), id="no frame"), pytest.param(silent, id="silent"),
    ],
)  # fmt: skip
def test_nonsense_and_silence_are_an_absent_reader(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tested, "PATIENCE", 0.3)
    with pytest.raises(ReaderError):
        asked(talk, lambda client: client.open(7))


def test_without_a_socket_it_is_away(tmp_path: Path) -> None:
    with pytest.raises(ReaderError):
        asyncio.run(ReaderClient(tmp_path / "s").pending())


def test_a_refusal_keeps_its_code() -> None:
    answer = pack(msgspec.json.encode(Answer("CM-JRN-51", "no")))
    with pytest.raises(RefusedError) as caught:
        asked(says(answer), lambda client: client.note(3))
    assert caught.value.code == "CM-JRN-51"


def test_an_answer_without_texts_opens_nothing() -> None:
    with pytest.raises(ReaderError):
        asked(says(pack(msgspec.json.encode(Answer()))), lambda client: client.open(7))

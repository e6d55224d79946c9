"""The engine client against bytes: each framing, each way to break it, on both event loops."""

import asyncio
import tempfile
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from appliance.gateway.upstream import (
    Limits,
    Response,
    Upstream,
    UpstreamBusyError,
    UpstreamError,
)

Run = Callable[[Coroutine[Any, Any, None]], None]
Script = Callable[[Reader, Writer], Awaitable[None]]

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 11\r\n\r\nhello world"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: u\r\n\r\n"
)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


async def asked(reader: Reader) -> None:
    """Read one request, or end when the client leaves."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length or 0))


def sends(*pieces: bytes, then_close: bool = False, pause: float = 0) -> Script:
    async def script(reader: Reader, writer: Writer) -> None:
        while True:
            await asked(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            if then_close:
                return

    return script


class Engine:
    """A server that speaks bytes."""

    def __init__(self, path: Path) -> None:
        self.path, self.connections, self.gone = path, 0, asyncio.Event()


@asynccontextmanager
async def engine(
    script: Script, limits: Limits | None = None
) -> AsyncIterator[tuple[Upstream, Engine]]:
    with tempfile.TemporaryDirectory() as directory:
        state = Engine(Path(directory) / "s")

        async def serve(reader: Reader, writer: Writer) -> None:
            state.connections += 1
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await script(reader, writer)
            state.gone.set()
            writer.close()

        server = await asyncio.start_unix_server(serve, state.path)
        pool = Upstream(state.path, limits)
        try:
            yield pool, state
        finally:
            pool.close()
            server.close()
            await asyncio.sleep(0)


async def ask(pool: Upstream) -> bytes:
    async with asyncio.timeout(5):
        return await (await pool.post(b"/x", b"{}")).read()


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_an_answer_cut_at_any_byte_is_read_whole(run: Run, answer: bytes) -> None:
    async def main() -> None:
        for cut in range(1, len(answer)):
            async with engine(sends(answer[:cut], answer[cut:], pause=0.0005)) as (pool, _):
                assert await ask(pool) == b"hello world", cut

    run(main())


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_an_answer_byte_by_byte_is_read_whole_and_its_connection_kept(
    run: Run, answer: bytes
) -> None:
    async def main() -> None:
        pieces = [answer[i : i + 1] for i in range(len(answer))]
        async with engine(sends(*pieces, pause=0.0002)) as (pool, state):
            for _ in range(3):
                assert await ask(pool) == b"hello world"
            assert state.connections == 1

    run(main())


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_an_answer_that_ends_early_at_any_byte_is_an_error(run: Run, answer: bytes) -> None:
    async def main() -> None:
        for cut in range(len(answer)):
            async with engine(sends(answer[:cut], then_close=True)) as (pool, _):
                with pytest.raises(UpstreamError):
                    await ask(pool)

    run(main())


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_aiohttp_reads_the_same(answer: bytes) -> None:
    async def main() -> None:
        async with engine(sends(answer)) as (pool, state):
            ours = await pool.post(b"/x", b"{}")
            connector = aiohttp.UnixConnector(path=str(state.path))
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.post("http://engine/x", data=b"{}") as theirs,
            ):
                assert (ours.status, await ours.read()) == (theirs.status, await theirs.read())

    asyncio.run(main())


@pytest.mark.parametrize(
    "extra", [b"x", b"\r\n\r\n", LENGTH, b"HTTP/1.1 200 OK\r\n", b"\x00" * 100]
)
@pytest.mark.parametrize("answer", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_what_follows_an_answer_costs_its_connection_and_never_reaches_the_next(
    run: Run, answer: bytes, extra: bytes
) -> None:
    async def main() -> None:
        async with engine(sends(answer + extra)) as (pool, state):
            assert await ask(pool) == b"hello world"
            assert await ask(pool) == b"hello world"
            assert state.connections == 2 or extra.strip() == b""  # llhttp skips blank lines

    run(main())


def test_bytes_on_an_idle_connection_cost_it(run: Run) -> None:
    async def main() -> None:
        async with engine(sends(LENGTH, LENGTH, pause=0.02)) as (pool, state):
            assert await ask(pool) == b"hello world"
            await asyncio.sleep(0.05)
            assert await ask(pool) == b"hello world"
            assert state.connections == 2

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"\r\nhello", id="no length"),
        pytest.param(
            OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="both"
        ),
        pytest.param(
            OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", id="two lengths"
        ),
        pytest.param(OK + b"content-length: -5\r\n\r\nhello", id="negative"),
        pytest.param(OK + b"transfer-encoding: gzip\r\n\r\nhello", id="other coding"),
        pytest.param(
            OK + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", id="huge chunk"
        ),
        pytest.param(
            OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n", id="chunk not hexadecimal"
        ),
        pytest.param(b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", id="bare line feeds"),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
            id="upgrade",
        ),
        pytest.param(OK + b"a b: c\r\ncontent-length: 5\r\n\r\nhello", id="blank in a name"),
        pytest.param(b"garbage\r\n\r\n", id="garbage"),
        pytest.param(
            OK + b"x: " + b"a" * 20_000 + b"\r\ncontent-length: 0\r\n\r\n", id="huge header"
        ),
        pytest.param(OK + b"x: " + b"a" * 500_000, id="endless header"),
        pytest.param(
            OK + b"" + b"x: y\r\n" * 9_000 + b"content-length: 0\r\n\r\n", id="many headers"
        ),
        pytest.param(
            OK + b"content-length: 9000000\r\n\r\n" + b"x" * 9_000_000, id="long body"
        ),
    ],
)
def test_a_malformed_answer_is_an_error_and_costs_its_connection(
    run: Run, answer: bytes
) -> None:
    async def main() -> None:
        async with engine(sends(answer)) as (pool, state):
            with pytest.raises(UpstreamError):
                await ask(pool)
            await asyncio.wait_for(state.gone.wait(), 2)

    run(main())


def test_interim_answers_are_passed_over(run: Run) -> None:
    async def main() -> None:
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        async with engine(sends(interim + LENGTH)) as (pool, _):
            response = await pool.post(b"/x", b"{}")
            assert (response.status, await response.read()) == (200, b"hello world")
            assert b"link" not in response.headers

    run(main())


@pytest.mark.parametrize(
    "pieces", [(), (b"HTTP/1.1 200 OK\r\n",), (LENGTH[:-3],)], ids=["nothing", "head", "body"]
)
def test_a_silent_engine_is_given_up(run: Run, pieces: tuple[bytes, ...]) -> None:
    async def main() -> None:
        async with engine(sends(*pieces), Limits(silence=0.1)) as (pool, _):
            with pytest.raises(UpstreamError, match="silent"):
                await asyncio.wait_for(ask(pool), 3)

    run(main())


def test_a_slow_head_within_the_limits_is_read(run: Run) -> None:
    async def main() -> None:
        async with engine(
            sends(*(LENGTH[i : i + 8] for i in range(0, len(LENGTH), 8)), pause=0.15),
            Limits(silence=1),
        ) as (pool, _):
            assert await ask(pool) == b"hello world"

    run(main())


def test_close_and_expiry_end_keep_alive(run: Run) -> None:
    async def main() -> None:
        closing = LENGTH.replace(b"content-type: a/b", b"connection: close")
        async with engine(sends(closing)) as (pool, state):
            await ask(pool)
            await ask(pool)
            assert state.connections == 2
        async with engine(sends(LENGTH), Limits(keep_alive=0)) as (pool, state):
            await ask(pool)
            await ask(pool)
            assert state.connections == 2

    run(main())


def test_a_connection_closed_while_idle_is_not_used(run: Run) -> None:
    async def main() -> None:
        async with engine(sends(LENGTH, then_close=True)) as (pool, state):
            await ask(pool)
            await state.gone.wait()
            await asyncio.sleep(0.02)
            assert await ask(pool) == b"hello world"

    run(main())


def test_nothing_listens_and_too_many(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(UpstreamError, match="reached"):
            await ask(Upstream(Path("/nonexistent/s")))
        async with engine(sends(), Limits(connections=1)) as (pool, _):
            first = asyncio.create_task(ask(pool))
            await asyncio.sleep(0.02)
            with pytest.raises(UpstreamBusyError):
                await ask(pool)
            first.cancel()

    run(main())


def test_an_unread_answer_stops_the_engine_and_is_then_read_whole(run: Run) -> None:
    total, sent = 6_000_000, 0

    async def flood(reader: Reader, writer: Writer) -> None:
        nonlocal sent
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while sent < total:
            writer.write(b"x" * 10_000)
            await writer.drain()
            sent += 10_000
        await asyncio.sleep(1)

    async def main() -> None:
        async with engine(flood) as (pool, _):
            response = await pool.post(b"/x", b"{}")
            await asyncio.sleep(0.2)
            assert sent < 2_000_000, "the engine was not held back"
            size = 0
            while data := await response.chunk():
                size += len(data)
            assert size == total

    run(main())


@pytest.mark.parametrize("how", ["close", "cancel before the head", "cancel in the body"])
def test_an_answer_given_up_ends_the_engines_work(run: Run, how: str) -> None:
    async def endless(reader: Reader, writer: Writer) -> None:
        await asked(reader)
        if how != "cancel before the head":
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await reader.read()  # until the client leaves

    async def consume(pool: Upstream) -> None:
        response: Response = await pool.post(b"/x", b"{}")
        try:
            assert await response.chunk() == b"hello"
            if how != "close":
                await response.chunk()
        finally:
            response.close()

    async def main() -> None:
        async with engine(endless) as (pool, state):
            task = asyncio.create_task(consume(pool))
            await asyncio.sleep(0.05)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.wait_for(state.gone.wait(), 1)

    run(main())


def test_a_connection_handed_on_before_its_reader_runs_loses_nothing(run: Run) -> None:
    async def main() -> None:
        async with engine(sends(LENGTH), Limits(connections=64)) as (pool, state):

            async def many() -> None:
                for _ in range(50):
                    assert await asyncio.wait_for(ask(pool), 2) == b"hello world"

            await asyncio.gather(*(many() for _ in range(32)))
            assert state.connections <= 32

    run(main())

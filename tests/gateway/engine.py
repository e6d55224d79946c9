"""An engine that speaks vLLM's wire: chats, streams with running usage, embeddings, health."""

import asyncio
import json
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass
class Engine:
    """What it says, and what it was asked."""

    path: Path
    words: list[str] = field(default_factory=lambda: ["Bon", "jour", " à", " tous", "."])
    pause: float = 0.0  # seconds between two words
    status: int = 200
    reason: str = ""
    continuous: bool = True  # obeys `continuous_usage_stats`
    cut_after: int | None = None  # words, then the connection ends
    vector: list[float] = field(default_factory=lambda: [1.0, 0.5, 0.25])
    asked: list[Json] = field(default_factory=list)
    embedded: list[Json] = field(default_factory=list)
    aborted: int = 0  # answers whose reader left
    running: int = 0
    most_running: int = 0
    held: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: all calls wait
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    dead: bool = False
    since: int = 1_790_000_000  # of this start, seconds since 1970
    server: asyncio.Server | None = None
    writers: set[Writer] = field(default_factory=set)
    serving: set["asyncio.Task[Any]"] = field(default_factory=set)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def hold(self) -> None:
        self.held.clear()

    async def start(self) -> None:
        self.held.set()
        self.dead = False
        self.since += 1
        self.path.unlink(missing_ok=True)
        self.server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """Die as a killed engine does: nobody listens, connections end."""
        assert self.server is not None
        self.dead = True  # for connections that are accepted and not served yet
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()
        for task in list(self.serving):
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        if self.dead:
            return writer.transport.abort()
        self.writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                _, _, rest = head.lower().partition("content-length: ")
                body = await reader.readexactly(int(rest.partition("\r\n")[0] or 0))
                if not await self._answer(head.split(" ")[1], body, reader, writer):
                    break
        self.writers.discard(writer)
        return writer.close()

    async def _answer(self, target: str, body: bytes, reader: Reader, writer: Writer) -> bool:
        if target == "/health":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return True
        if target in {"/metrics", "/version", "/v1/models"}:
            self._describe(target, writer)
            return True
        request = json.loads(body)
        if target == "/v1/embeddings":
            self.embedded.append(request)
            await self.held.wait()
            texts = (
                request["input"] if isinstance(request["input"], list) else [request["input"]]
            )
            data = [{"index": n, "embedding": self.vector} for n in range(len(texts))]
            usage = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
            _write(writer, 200, {"object": "list", "data": data, "usage": usage})
            return True
        self.asked.append(request)
        self.arrived.set()
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        watch = asyncio.create_task(reader.read(1))
        work = asyncio.create_task(self._chat(request, writer))
        try:
            done, _ = await asyncio.wait({watch, work}, return_when=asyncio.FIRST_COMPLETED)
            if work not in done:
                self.aborted += 1
                return False
            return work.result()
        finally:
            self.running -= 1
            work.cancel()
            watch.cancel()
            await asyncio.gather(watch, work, return_exceptions=True)

    def _describe(self, target: str, writer: Writer) -> None:
        if target == "/metrics":
            text = f"process_start_time_seconds {self.since}.5e0\n".encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
        elif target == "/version":
            _write(writer, 200, {"version": "0.23.0"})
        else:
            card = {"id": "chat", "root": "/models/small-3", "max_model_len": 4096}
            _write(writer, 200, {"object": "list", "data": [card]})

    async def _chat(self, request: Json, writer: Writer) -> bool:
        await self.held.wait()
        if self.status != 200:
            _write(
                writer, self.status, {"error": {"message": self.reason, "code": self.status}}
            )
            return True
        return await (self._stream if request.get("stream") else self._whole)(request, writer)

    async def _whole(self, request: Json, writer: Writer) -> bool:
        await asyncio.sleep(self.pause * len(self.words))
        if self.cut_after is not None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{")
            return False
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        _write(writer, 200, {**_head(request), "object": "chat.completion", "choices": [choice],
                             "usage": usage(len(self.words))})  # fmt: skip
        return True

    async def _stream(self, request: Json, writer: Writer) -> bool:
        options = request.get("stream_options") or {}
        running = self.continuous and options.get("continuous_usage_stats")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        deltas = [{"role": "assistant", "content": ""}, *({"content": w} for w in self.words)]
        for n, delta in enumerate(deltas):
            if n == self.cut_after:
                return False
            finish = "stop" if n == len(self.words) else None
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            event = {**_head(request), "choices": [choice]}
            _event(writer, {**event, "usage": usage(n)} if running else event)
            await writer.drain()
            await asyncio.sleep(self.pause)
        if options.get("include_usage"):
            _event(writer, {**_head(request), "choices": [], "usage": usage(len(self.words))})
        writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        return True


def usage(completion: int) -> Json:
    return {
        "prompt_tokens": 7, "total_tokens": 7 + completion, "completion_tokens": completion,
    }  # fmt: skip


def _head(request: Json) -> Json:
    kind = "chat.completion.chunk"
    return {"id": "chatcmpl-e", "object": kind, "created": 1, "model": request["model"]}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(writer: Writer, event: Json) -> None:
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    writer.write(_chunk(b"data: %b\n\n" % text.encode()))


def _write(writer: Writer, status: int, body: Json) -> None:
    text = json.dumps(body, separators=(",", ":")).encode()
    writer.write(
        b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (status, len(text), text)
    )


@asynccontextmanager
async def engine(path: Path) -> AsyncIterator[Engine]:
    """Lend an engine that listens."""
    made = Engine(path)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()

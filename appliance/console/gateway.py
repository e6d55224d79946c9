"""The gateway as the console calls it: HTTP on its unix socket, with the person's own token.

One long-lived session. Whatever goes wrong is a `Problem` that the page shows beside the
question, which is never lost.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Self

import aiohttp
import msgspec

from appliance.console.problem import Problem, explain
from appliance.console.sse import DONE, Events
from appliance.errors import ApplianceError

_CONNECT, _HEALTH, _IDLE = 2, 2, 180  # seconds
_HOST = "http://gateway"
_MAX_RETRY = 3600  # seconds


class GatewayError(ApplianceError):
    """The gateway refused, or is away."""

    code = "CM-NET-07"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Place(msgspec.Struct, frozen=True):
    """Where a passage stands in its document."""

    page: int = 1
    section: str = ""
    start: int = 0
    end: int = 0


class Given(msgspec.Struct, frozen=True):
    """A passage that the model was given."""

    n: int
    passage: str
    document: str
    title: str
    place: Place = Place()
    label: int = 0
    dated: str | None = None
    state: str = "in_force"


class Receipt(msgspec.Struct, frozen=True):
    """Where an event is in the log."""

    index: int
    leaf: str


class Facts(msgspec.Struct, frozen=True):
    """What the gateway says beside the text."""

    passages: list[Given] | None = None
    citations: list[int] = []
    outcome: Literal["answer", "nearby", "none", ""] = ""
    label: int = 0
    receipt: Receipt | None = None


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Error(msgspec.Struct):
    code: str = ""


class Chunk(msgspec.Struct):
    """One event of a streamed answer."""

    choices: list[_Choice] = []
    casemate: Facts | None = None
    error: _Error | None = None

    @property
    def text(self) -> str:
        """Return what it adds to the answer."""
        return "".join(c.delta.content or "" for c in self.choices if c.delta)


class _Approved(msgspec.Struct):
    receipt: Receipt


class _Refusal(msgspec.Struct):
    error: _Error


class Health(msgspec.Struct, frozen=True):
    """What `/health` says. States: ready, away, unknown; of vectors: ready, warming, absent."""

    status: str = ""
    stopped: bool = False
    recorder: str = "unknown"
    database: str = "unknown"
    identity: str = "unknown"
    engines: dict[str, str] = {}
    vectors: str = "ready"


class Asked(msgspec.Struct, frozen=True):
    """What the body of a question needs."""

    model: str
    question: str
    collections: list[str]
    conversation: str
    team: str = ""


class Answering:
    """An answer that has begun."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        headers = response.headers
        self.request = headers.get("X-Casemate-Request", "")
        label = headers.get("X-Casemate-Label", "0")
        self.label = int(label) if label.isdecimal() else 0
        intent = headers.get("X-Casemate-Receipt", "").partition(";")[0].strip()
        self.intent = int(intent) if intent.isdecimal() else None

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield the events of the answer.

        Raises:
            GatewayError: It ended too early, or the gateway said why it stopped.
        """
        events = Events()
        try:
            async for data in self._response.content.iter_any():
                for text in events.feed(data):
                    if text == DONE:
                        return
                    chunk = msgspec.json.decode(text, type=Chunk)
                    if chunk.error is not None:
                        raise GatewayError(explain(chunk.error.code))
                    yield chunk
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as exc:
            raise GatewayError(explain("CM-NET-07")) from exc
        raise GatewayError(explain("CM-NET-07"))


class Gateway:
    """One session. An async context manager."""

    def __init__(self, socket: Path) -> None:
        self._socket = str(socket)
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_IDLE)
        connector = aiohttp.UnixConnector(self._socket, limit=0)
        self._http = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._http
        await self._http.close()

    @asynccontextmanager
    async def ask(self, token: str, asked: Asked) -> AsyncIterator[Answering]:
        """Ask a question; leaving the block closes the connection, which stops the model.

        Raises:
            GatewayError: Refused, or away.
        """
        assert self._http
        body = {
            "model": asked.model,
            "messages": [{"role": "user", "content": asked.question}],
            "stream": True,
            "casemate": {
                "collections": asked.collections,
                "conversation": asked.conversation,
                **({"team": asked.team} if asked.team else {}),
            },
        }
        try:
            response = await self._http.post(
                f"{_HOST}/v1/chat/completions",
                data=msgspec.json.encode(body),
                headers=_headers(token),
            )
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise GatewayError(explain("CM-NET-07")) from exc
        try:
            await _check(response)
            yield Answering(response)
        finally:
            response.close()

    async def order(self, token: str, verb: Literal["stop", "approve"], reason: str) -> None:
        """Stop the service, or approve that it starts again.

        Raises:
            GatewayError: Refused, or away.
        """
        assert self._http
        try:
            async with self._http.post(
                f"{_HOST}/v1/service/{verb}",
                data=msgspec.json.encode({"reason": reason}),
                headers=_headers(token),
            ) as response:
                await _check(response)
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise GatewayError(explain("CM-NET-07")) from exc

    async def approve_opening(self, token: str, record: int, reason: str) -> int:
        """Have a person's word recorded that a content may be opened; return its leaf.

        Raises:
            GatewayError: Refused, or away.
        """
        return await self._say(token, "approve", {"record": record, "reason": reason})

    async def give_visa(self, token: str, listed: Mapping[str, str | int]) -> int:
        """Have the visa of a list of contents to eliminate recorded; return its leaf.

        Raises:
            GatewayError: Refused, or away.
        """
        return await self._say(token, "visa", listed)

    async def _say(self, token: str, verb: str, words: Mapping[str, str | int]) -> int:
        assert self._http
        try:
            async with self._http.post(
                f"{_HOST}/v1/content/{verb}",
                data=msgspec.json.encode(words),
                headers=_headers(token),
            ) as response:
                await _check(response)
                return msgspec.json.decode(await response.read(), type=_Approved).receipt.index
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as exc:
            raise GatewayError(explain("CM-NET-07")) from exc

    async def health(self) -> Health | None:
        """Return how the gateway is, or None when it does not say."""
        assert self._http
        limit = aiohttp.ClientTimeout(total=_HEALTH)
        try:
            async with self._http.get(f"{_HOST}/health", timeout=limit) as response:
                return msgspec.json.decode(await response.read(), type=Health)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            return None


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


async def _check(response: aiohttp.ClientResponse) -> None:
    """Raise what a refusal says.

    Raises:
        GatewayError: The answer is one.
    """
    if response.status < 400:  # noqa: PLR2004
        return
    try:
        code = msgspec.json.decode(await response.read(), type=_Refusal).error.code
    except msgspec.DecodeError:
        code = "CM-NET-07"
    wait = response.headers.get("Retry-After", "")
    retry = min(int(wait), _MAX_RETRY) if wait.isdecimal() else 0
    raise GatewayError(explain(code, status=response.status, retry=retry))

"""The witness over HTTP (https://c2sp.org/tlog-witness): two routes, nothing else.

    POST <prefix>/add-checkpoint        a request of `request.py`; answers signature lines
    GET  <prefix>/<hex>/checkpoint      the last checkpoint; hex is the SHA-256 of the origin

Nobody is asked who they are: what a request may do follows from the signature of the log in it.
No TLS either: nothing that passes is secret, and all of it is signed.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn

from appliance.audit.witness.memory import Witness, WitnessError, logs_of, read_key
from appliance.audit.witness.request import REQUEST_BYTES_MAX, RefusedError, Status
from appliance.trail_settings import WitnessSettings

log = logging.getLogger(__name__)

TEXT, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"
CALLERS_MAX = 32  # at once; the next one is answered 503
BODY_SECONDS = 10  # for the body of a request to arrive
_checkpoint = re.compile(r"/([0-9a-f]{64})/checkpoint").fullmatch

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Answer = tuple[int, str, bytes]


class Application:
    """An ASGI application."""

    def __init__(self, witness: Witness, prefix: str) -> None:
        self._witness, self._prefix = witness, prefix.rstrip("/")

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        status, kind, body = await self._answer(scope, receive)
        length, form = str(len(body)).encode(), kind.encode()
        headers = [(b"content-type", form), (b"content-length", length)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> Answer:
        path = str(scope["path"])
        if not path.startswith(self._prefix + "/"):
            return _plain(404)
        place = path.removeprefix(self._prefix)
        if place == "/add-checkpoint":
            return await self._add(receive) if scope["method"] == "POST" else _plain(405)
        found = _checkpoint(place)
        if found is None:
            return _plain(404)
        return await self._latest(found[1]) if scope["method"] == "GET" else _plain(405)

    async def _add(self, receive: Receive) -> Answer:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(receive)
        except TimeoutError:
            return _plain(408)
        if body is None:
            return _plain(413)
        try:
            return 200, TEXT, await asyncio.to_thread(self._witness.add, body)
        except RefusedError as exc:
            if exc.status == Status.CONFLICT:
                return int(exc.status), SIZE, b"%d\n" % (exc.known or 0)
            return int(exc.status), TEXT, f"{exc}\n".encode()
        except (WitnessError, OSError):
            log.exception("nothing was cosigned")
            return _plain(500)

    async def _latest(self, digest: str) -> Answer:
        try:
            note = await asyncio.to_thread(self._witness.checkpoint, digest)
        except (WitnessError, OSError):
            log.exception("the checkpoint cannot be read")
            return _plain(500)
        return _plain(404) if note is None else (200, TEXT, note)


async def _body(receive: Receive) -> bytes | None:
    """Return the body; None when it is too long."""
    parts, length = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        parts.append(part)
        length += len(part)
        if length > REQUEST_BYTES_MAX:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _plain(status: int) -> Answer:
    return status, TEXT, b""


def configuration(settings: WitnessSettings) -> dict[str, Any]:
    """Return how uvicorn serves the witness.

    Raises:
        WitnessError: Its key or its memory is not there.
        FormatError: The key of a log is none.
    """
    key = read_key(settings.directory, settings.name)
    witness = Witness(settings.directory, key, logs_of(settings.logs), time.time)
    return {
        "app": Application(witness, settings.prefix), "host": settings.host,
        "port": settings.port, "ws": "none", "lifespan": "off", "interface": "asgi3",
        "access_log": False, "server_header": False, "proxy_headers": False,
        "log_config": None, "limit_concurrency": CALLERS_MAX, "timeout_graceful_shutdown": 5,
    }  # fmt: skip


def run(settings: WitnessSettings) -> bool:
    """Serve until told to end; tell whether it ever did.

    Raises:
        WitnessError: Its key or its memory is not there.
        FormatError: The key of a log is none.
    """
    server = uvicorn.Server(uvicorn.Config(**configuration(settings)))
    server.run()
    return server.started

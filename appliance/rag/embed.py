"""Vectors for the worker: the gateway's `/v1/embeddings`, under the worker's own identity.

The worker is a client like any other: its calls are authorised, budgeted and recorded. What is
away comes back: every failure that may pass is `AwayError`, and the job tries again.
"""

import math
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

import aiohttp
import msgspec

from appliance.settings import RealmSettings

CHARS_MAX = 1_000  # the model reads some 256 tokens; the rest of a passage is for words
_CHARS_MIN = 50
_TIMEOUT = aiohttp.ClientTimeout(total=60)
_EARLY = 10  # seconds before its end at which a token is renewed
_LATER = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PAYMENT_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


class AwayError(Exception):
    """The gateway, the embedding engine, the budget or Keycloak: later."""


class _RefusedError(Exception):
    """This text is not embedded, however often it is asked."""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int


class _Vectors(msgspec.Struct):
    data: list[_Vector]


class Embedder:
    """One long-lived session to the gateway, one to Keycloak. Made inside the event loop."""

    def __init__(
        self, gateway: Path, realm: RealmSettings, client: tuple[str, str], model: str
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            gateway: Its Unix socket.
            realm: Where the token comes from.
            client: Id and secret of the worker.
            model: Asked for vectors.
        """
        self._token_url = f"{realm.backchannel}/protocol/openid-connect/token"
        self._client, self._model = client, model
        connector = aiohttp.UnixConnector(str(gateway))
        self._gateway = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        self._keycloak = aiohttp.ClientSession(timeout=_TIMEOUT)
        self._token, self._until = "", 0.0

    async def close(self) -> None:
        """Close both sessions."""
        await self._gateway.close()
        await self._keycloak.close()

    async def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        """Return a vector of length 1 for each text; None for one that the gateway refuses.

        Raises:
            AwayError: Try again later.
        """
        try:
            return list(await self._ask([text[:CHARS_MAX] for text in texts]))
        except _RefusedError:
            return [await self._embed_alone(text[:CHARS_MAX]) for text in texts]

    async def _embed_alone(self, text: str) -> list[float] | None:
        """Embed one text, cut in half until the model reads it: tokens are not characters."""
        while True:
            try:
                return (await self._ask([text]))[0]
            except _RefusedError:
                if len(text) < _CHARS_MIN:
                    return None
                text = text[: len(text) // 2]

    async def _ask(self, texts: Sequence[str]) -> list[list[float]]:
        headers = {"Authorization": f"Bearer {await self._fresh_token()}"}
        body = {"model": self._model, "input": list(texts)}
        try:
            async with self._gateway.post(
                "http://gateway/v1/embeddings", json=body, headers=headers
            ) as answer:
                status, text = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise AwayError("the gateway is away") from exc
        if status == HTTPStatus.UNAUTHORIZED:
            self._until = 0.0
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
            raise AwayError(f"the gateway answers {status}")
        if status != HTTPStatus.OK:
            raise _RefusedError
        return _vectors(text, len(texts))

    async def _fresh_token(self) -> str:
        if time.monotonic() < self._until:
            return self._token
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client[0],
            "client_secret": self._client[1],
        }
        try:
            async with self._keycloak.post(self._token_url, data=form) as answer:
                answer.raise_for_status()
                token = msgspec.json.decode(await answer.read(), type=_Token)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as exc:
            raise AwayError("Keycloak gives no token") from exc
        self._token = token.access_token
        self._until = time.monotonic() + token.expires_in - _EARLY
        return self._token


def _vectors(text: bytes, count: int) -> list[list[float]]:
    try:
        found = msgspec.json.decode(text, type=_Vectors).data
    except msgspec.DecodeError as exc:
        raise AwayError("the gateway's vectors cannot be read") from exc
    if sorted(vector.index for vector in found) != list(range(count)):
        raise AwayError("the gateway's vectors do not match the texts")
    return [_unit(vector.embedding) for vector in sorted(found, key=lambda v: v.index)]


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    if not 0 < length < math.inf:
        raise AwayError("the gateway's vector has no direction")
    return [value / length for value in vector]

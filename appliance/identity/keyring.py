"""Signing keys of the realm, as one worker knows them.

The whole set is fetched every 30 s and replaced, so that a rotated key is picked up and a
withdrawn one dropped without a restart; it is kept while Keycloak is down. A token with an
unknown `kid` triggers one fetch at most per 5 s: a flood of forged ones costs nothing.
"""

import asyncio
import contextlib
import json
import logging
import time
from typing import Self

import aiohttp
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from appliance.errors import FormatError
from appliance.identity.principal import RevocationUnknownError
from appliance.identity.tokens import KeySet, UnknownKidError, key_of, parse_keys

log = logging.getLogger(__name__)
POLL = 30.0  # seconds
DAMPING = 5.0  # seconds between two fetches for unknown keys
TIMEOUT = aiohttp.ClientTimeout(total=5)


class Keyring:
    """The keys of one realm."""

    def __init__(self, address: str, http: aiohttp.ClientSession) -> None:
        """Know where the JWK set is; `http` is the worker's one long-lived session."""
        self._address, self._http = address, http
        self._task: asyncio.Task[None] | None = None
        self._fetching = asyncio.Lock()
        self._asked = float("-inf")  # time.monotonic() of the last fetch, good or not
        self.keys: KeySet = {}

    async def __aenter__(self) -> Self:
        await self._fetch()
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def key_of(self, token: str, *, header_type: str | None = None) -> RSAPublicKey:
        """Return the key that signs this token, after one look for it if it is unknown.

        Raises:
            UnauthenticatedError: The header is not the realm's, or the key is unknown.
            RevocationUnknownError: No key was ever fetched.
        """
        try:
            return key_of(token, self.keys, header_type=header_type)
        except UnknownKidError:
            await self._fetch_damped()
            if not self.keys:
                raise RevocationUnknownError("the keys of the realm cannot be read") from None
            return key_of(token, self.keys, header_type=header_type)

    async def _fetch_damped(self) -> None:
        async with self._fetching:
            if time.monotonic() - self._asked >= DAMPING:
                await self._fetch()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(POLL if self.keys else DAMPING)
            async with self._fetching:
                await self._fetch()

    async def _fetch(self) -> None:
        self._asked = time.monotonic()
        try:
            async with self._http.get(self._address, timeout=TIMEOUT) as answer:
                answer.raise_for_status()
                found = parse_keys(json.loads(await answer.read()))
        except (aiohttp.ClientError, TimeoutError, ValueError, FormatError) as exc:
            log.warning("keys.unread", extra={"reason": type(exc).__name__})
            return
        if found:  # an empty answer would lock everyone out
            self.keys = found

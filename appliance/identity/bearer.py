"""The token of one of our own services: client credentials, renewed shortly before its end."""

import time
from dataclasses import dataclass, field

import aiohttp

from appliance.errors import FormatError

TIMEOUT = aiohttp.ClientTimeout(total=5)
EARLY = 10  # seconds before its end that a token is replaced


@dataclass(frozen=True, slots=True)
class Account:
    """A client of a realm that signs in as itself."""

    realm: str  # its address on the loopback, `…/realms/NAME`
    client_id: str
    secret: str = field(repr=False)


class Bearer:
    """The present token of an account."""

    def __init__(self, account: Account, http: aiohttp.ClientSession) -> None:
        """Prepare; `http` is the one long-lived session of the process."""
        self._account, self._http = account, http
        self._token, self._until = "", 0.0

    async def token(self) -> str:
        """Return a token that is good for some seconds at least.

        Raises:
            aiohttp.ClientError, TimeoutError, FormatError: Keycloak gives none.
        """
        if time.monotonic() < self._until:
            return self._token
        account = self._account
        address = f"{account.realm}/protocol/openid-connect/token"
        basic = aiohttp.encode_basic_auth(account.client_id, account.secret)
        headers, form = {"Authorization": basic}, {"grant_type": "client_credentials"}
        async with self._http.post(
            address, data=form, headers=headers, timeout=TIMEOUT
        ) as answer:
            answer.raise_for_status()
            given = await answer.json()
        if not isinstance(given, dict) or "access_token" not in given:
            raise FormatError("the identity service gave no token")
        self._token = str(given["access_token"])
        self._until = time.monotonic() + float(given["expires_in"]) - EARLY
        return self._token

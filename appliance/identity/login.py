"""The console as an OpenID Connect client: authorization code with PKCE S256, state and nonce.

What a login under way must remember travels in a sealed cookie, so that the console keeps no
state for who has not signed in. OpenID Connect Core 3.1, RFC 7636, RFC 9207 (`iss` of the
answer), OpenID Connect RP-Initiated Logout 1.0.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from appliance.errors import ApplianceError, VerificationError
from appliance.identity.keyring import Keyring
from appliance.identity.principal import ELEVATED_ACR, UnauthenticatedError
from appliance.identity.sealing import NONCE_BYTES, Seal
from appliance.identity.tokens import Claims, Verifier
from appliance.settings import RealmSettings

LOGIN_SECONDS = 600  # from leaving for Keycloak to coming back
TIMEOUT = aiohttp.ClientTimeout(total=5)
CONTEXT = b"login"


class LoginError(ApplianceError):
    """What came back is not the end of a login that this browser began here."""

    code = "CM-IDE-06"


class IdentityUnavailableError(ApplianceError):
    """Keycloak does not answer. Nothing is known to be wrong with the session."""

    code = "CM-IDE-05"


class Departure(msgspec.Struct, frozen=True):
    """What a login under way remembers."""

    state: str
    nonce: str
    verifier: str
    back: str  # path to return to
    at: float  # seconds since 1970
    step_up: bool = False


class Tokens(msgspec.Struct, frozen=True):
    """What Keycloak gave."""

    access: str
    refresh: str
    identity: str  # the ID token


@dataclass(frozen=True, slots=True)
class Client:
    """Who the console is for Keycloak."""

    realm: RealmSettings
    client_id: str
    origin: str  # public origin of the console
    secret: str = field(repr=False)


def safe_path(path: str) -> str:
    """Return a path of this site to go back to; anything else becomes `/`."""
    plain = path.isprintable() and not any(c in path for c in "\\\r\n\t ")
    return path if plain and path.startswith("/") and not path.startswith("//") else "/"


class Party:
    """Begins and ends logins, and keeps sessions fresh."""

    def __init__(
        self, client: Client, keyring: Keyring, http: aiohttp.ClientSession, credential: bytes
    ) -> None:
        """Prepare; `http` is the one long-lived session, `credential` the session key."""
        self._client, self._keyring, self._http = client, keyring, http
        self._seal = Seal(credential, "login")
        self._verifier = Verifier(client.realm.issuer, client.client_id)

    @property
    def origin(self) -> str:
        """Return the public origin of the console."""
        return self._client.origin

    @property
    def redirect(self) -> str:
        """Return where Keycloak sends the browser back."""
        return f"{self._client.origin}/connexion/retour"

    def begin(
        self, back: str, *, step_up: bool = False, language: str = "fr"
    ) -> tuple[str, str]:
        """Return the address to send the browser to, and the cookie that it must bring back."""
        departure = Departure(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            back=safe_path(back),
            at=time.time(),
            step_up=step_up,
        )
        challenge = hashlib.sha256(departure.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self.redirect,
            "scope": "openid",
            "state": departure.state,
            "nonce": departure.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "ui_locales": language,
        }
        if step_up:
            query["acr_values"] = str(ELEVATED_ACR)
        plain = msgspec.json.encode(departure)
        sealed = self._seal.seal(plain, CONTEXT, secrets.token_bytes(NONCE_BYTES))
        cookie = base64.urlsafe_b64encode(sealed).decode()
        return f"{self._endpoint('auth', public=True)}?{urlencode(query)}", cookie

    async def finish(self, query: Mapping[str, str], cookie: str) -> tuple[Tokens, Departure]:
        """Return the tokens of a login that ended, and what it remembered.

        Raises:
            LoginError: The answer, the cookie or the ID token is not of one login begun here.
            IdentityUnavailableError: Keycloak does not answer.
        """
        departure = self._departure(cookie)
        if not hmac.compare_digest(query.get("state", "").encode(), departure.state.encode()):
            raise LoginError("another login was begun since")
        if query.get("iss") != self._client.realm.issuer:
            raise LoginError("the answer comes from another issuer")
        if "code" not in query:
            raise LoginError("the identity service refused the login")
        form = {
            "grant_type": "authorization_code",
            "code": query["code"],
            "redirect_uri": self.redirect,
            "code_verifier": departure.verifier,
        }
        try:
            tokens = await self._ask(form)
            claims = await self._identity(tokens.identity)
        except UnauthenticatedError as exc:
            raise LoginError("the identity service refused the code") from exc
        if not hmac.compare_digest(claims.nonce.encode(), departure.nonce.encode()):
            raise LoginError("the identity token is of another login")
        if departure.step_up and claims.acr < ELEVATED_ACR:
            raise LoginError("no one-time code was asked for")
        return tokens, departure

    async def refresh(self, refresh: str) -> Tokens:
        """Return new tokens for a session.

        Raises:
            UnauthenticatedError: The session is over: logged out, disabled, revoked.
            IdentityUnavailableError: Keycloak does not answer.
        """
        return await self._ask({"grant_type": "refresh_token", "refresh_token": refresh})

    async def end(self, refresh: str) -> None:
        """End the session at Keycloak too, which tells everybody else.

        Raises:
            IdentityUnavailableError: Keycloak does not answer.
        """
        await self._post("logout", {"refresh_token": refresh})

    def logout_address(self, identity: str) -> str:
        """Return where the browser ends the session: Keycloak sends it straight back."""
        query = {
            "id_token_hint": identity,
            "post_logout_redirect_uri": f"{self._client.origin}/",
        }
        return f"{self._endpoint('logout', public=True)}?{urlencode(query)}"

    async def logged_out(self, token: str) -> tuple[str, str]:
        """Return session and subject of a back-channel logout token.

        Raises:
            UnauthenticatedError: It is not one of the realm for this client.
        """
        key = await self._keyring.key_of(token, header_type="logout+jwt")
        return self._verifier.verify_logout(token, key, now=time.time())

    async def _identity(self, token: str) -> Claims:
        key = await self._keyring.key_of(token)
        return self._verifier.verify(token, key, now=time.time(), kind="ID")

    def _departure(self, cookie: str) -> Departure:
        try:
            sealed = base64.urlsafe_b64decode(cookie.encode())
            departure = msgspec.json.decode(self._seal.open(sealed, CONTEXT), type=Departure)
        except (ValueError, VerificationError, msgspec.DecodeError) as exc:
            raise LoginError("no login was begun in this browser") from exc
        if not 0 <= time.time() - departure.at <= LOGIN_SECONDS:
            raise LoginError("the login took too long")
        return departure

    def _endpoint(self, name: str, *, public: bool) -> str:
        realm = self._client.realm
        base = realm.issuer if public else realm.backchannel
        return f"{base}/protocol/openid-connect/{name}"

    async def _ask(self, form: Mapping[str, str]) -> Tokens:
        given = await self._post("token", form)
        try:
            return Tokens(given["access_token"], given["refresh_token"], given["id_token"])
        except (KeyError, TypeError) as exc:
            raise IdentityUnavailableError("the identity service gave no tokens") from exc

    async def _post(self, endpoint: str, form: Mapping[str, str]) -> Any:
        """Return the JSON answer of an endpoint, None where it gives none."""
        address = self._endpoint(endpoint, public=False)
        basic = aiohttp.encode_basic_auth(self._client.client_id, self._client.secret)
        headers = {"Authorization": basic}
        try:
            async with self._http.post(
                address, data=form, headers=headers, timeout=TIMEOUT
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise IdentityUnavailableError("the identity service does not answer") from exc
        if answer.status == HTTPStatus.BAD_REQUEST:  # invalid_grant
            raise UnauthenticatedError("the session is over")
        if answer.status not in {200, 204}:  # 503 while it starts, 401 for a wrong secret
            raise IdentityUnavailableError("the identity service does not answer")
        try:
            return msgspec.json.decode(body) if body else None
        except msgspec.DecodeError as exc:
            raise IdentityUnavailableError("the identity service answers nonsense") from exc

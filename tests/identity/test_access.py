import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from starlette.requests import Request

from appliance.errors import ApplianceError
from appliance.identity import access, store
from appliance.identity.access import Authenticator, client_address, current_principal, require
from appliance.identity.keys import ApplicationKey, Terms
from appliance.identity.principal import (
    ForbiddenError,
    Principal,
    RevocationUnknownError,
    RoleConflictError,
    Scope,
    SecondFactorError,
    UnauthenticatedError,
)
from appliance.identity.revocation import STALE, Epochs
from tests.identity.realm import SITE_SECRET, authenticating, basic, bearer, serving
from tests.identity.tokens import Signer, claims

Work = Callable[[Authenticator], Awaitable[None]]
KEY = ApplicationKey(bytes(range(16)))
OWNER = store.PersonRow("alice", "alice", ["utilisateur"], ["/equipes/a"], 2, enabled=True)


def run(signer: Signer, dsn: str, work: Work) -> None:
    async def inner() -> None:
        async with (
            serving(signer.jwks()) as realm,
            authenticating(realm, dsn) as authenticator,
        ):
            await work(authenticator)

    asyncio.run(inner())


def issue(console: str, key: ApplicationKey = KEY, **changes: object) -> str:
    """Store a key of alice, and alice; return the id of the key."""
    end = datetime.now(UTC) + timedelta(hours=1)
    terms = Terms("alice", "notebook", frozenset({Scope.CHAT}), end, max_label=1)
    terms = replace(terms, **changes)  # type: ignore[arg-type]

    async def put() -> str:
        async with await psycopg.AsyncConnection.connect(console) as conn:
            caller = Principal("alice", "alice", frozenset(), frozenset(), (), 0)
            await store.act_as(conn, caller)
            row = await store.issue_key(conn, terms, key.digest(SITE_SECRET))
            await store.put_person(conn, OWNER)
            return str(row.id)

    return asyncio.run(put())


def test_a_token_is_verified_once_and_then_known(signer: Signer, gateway_database: str) -> None:
    async def work(authenticator: Authenticator) -> None:
        header, now = bearer(signer.token()), time.time()
        assert authenticator.cached(header, now) is None
        caller = await authenticator.principal(header)
        assert caller.subject == "a-subject"
        assert caller.scopes == {Scope.CHAT, Scope.EMBED, Scope.KEYS_OWN}
        authenticator.keyring.keys = {}  # nothing could be verified any more
        assert authenticator.cached(header, now) == caller
        assert await authenticator.principal(header) == caller
        assert authenticator.cached(header, now + 61) is None

    run(signer, gateway_database, work)


def test_a_known_token_ends_when_it_ends(signer: Signer, gateway_database: str) -> None:
    async def work(authenticator: Authenticator) -> None:
        end = int(time.time()) + 30
        header = bearer(signer.token(claims(exp=end)))
        await authenticator.principal(header)
        assert authenticator.cached(header, end - 0.1) is not None
        assert authenticator.cached(header, end) is None

    run(signer, gateway_database, work)


def test_a_long_token_is_verified_again_after_a_minute(
    signer: Signer, gateway_database: str
) -> None:
    async def work(authenticator: Authenticator) -> None:
        header = bearer(signer.token(claims(exp=int(time.time()) + 3600)))
        caller = await authenticator.principal(header)
        assert caller.until <= time.time() + 60

    run(signer, gateway_database, work)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Bearer", id="no token"),
        pytest.param(b"Bearer ", id="empty token"),
        pytest.param(basic("alice"), id="other scheme"),
        pytest.param(KEY.text().encode(), id="no scheme"),
        pytest.param(b"Bearer  " + KEY.text().encode(), id="two spaces"),
        pytest.param(b"Bearer " + KEY.text()[:-1].encode(), id="mistyped key"),
        pytest.param(b"Bearer " + KEY.text().encode(), id="key never issued"),
        pytest.param(b"Bearer \xff\xfe", id="not ASCII"),
        pytest.param(b"Bearer a.b.c", id="no token at all"),
    ],
)
def test_a_request_without_a_good_credential_is_refused(
    signer: Signer, gateway_database: str, header: bytes
) -> None:
    async def work(authenticator: Authenticator) -> None:
        with pytest.raises(UnauthenticatedError):
            await authenticator.principal(header)
        assert not authenticator._cache

    run(signer, gateway_database, work)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"roles": ["rssi"]}, SecondFactorError, id="rssi by password"),
        pytest.param(
            {"roles": ["utilisateur", "auditeur"]},
            SecondFactorError,
            id="auditor by password, granted in mid-session",
        ),
        pytest.param(
            {"roles": ["auditeur", "exploitant"], "amr": ["pwd", "otp"]},
            RoleConflictError,
            id="audits and acts",
        ),
        pytest.param({"aud": None}, UnauthenticatedError, id="no audience"),
    ],
)
def test_a_token_that_may_not_be_used_is_not_remembered(
    signer: Signer, gateway_database: str, changes: dict[str, object], error: type[Exception]
) -> None:
    async def work(authenticator: Authenticator) -> None:
        for _ in range(2):
            with pytest.raises(error):
                await authenticator.principal(bearer(signer.token(claims(**changes))))
        assert not authenticator._cache

    run(signer, gateway_database, work)


def test_a_second_factor_lets_the_rssi_in(signer: Signer, gateway_database: str) -> None:
    async def work(authenticator: Authenticator) -> None:
        token = signer.token(claims(roles=["rssi"], amr=["pwd", "otp"]))
        assert Scope.STOP in (await authenticator.principal(bearer(token))).scopes

    run(signer, gateway_database, work)


def test_a_revoked_session_is_refused_also_from_the_cache(
    signer: Signer, gateway_database: str
) -> None:
    async def work(authenticator: Authenticator) -> None:
        header = bearer(signer.token())
        await authenticator.principal(header)
        authenticator.revocations.epochs = Epochs(frozenset({"a-session"}))
        for _ in range(2):
            with pytest.raises(UnauthenticatedError):
                authenticator.cached(header, time.time())
            with pytest.raises(UnauthenticatedError):
                await authenticator.principal(header)
        with pytest.raises(UnauthenticatedError):
            await authenticator.principal(bearer(signer.token(claims(jti="new"))))

    run(signer, gateway_database, work)


def test_nobody_is_known_when_revocations_are_not(
    signer: Signer, gateway_database: str
) -> None:
    async def work(authenticator: Authenticator) -> None:
        header = bearer(signer.token())
        await authenticator.principal(header)
        authenticator.revocations.read_at -= STALE + 1
        with pytest.raises(RevocationUnknownError):
            authenticator.cached(header, time.time())
        with pytest.raises(RevocationUnknownError):
            await authenticator.principal(bearer(signer.token(claims(jti="new"))))

    run(signer, gateway_database, work)


def test_the_cache_is_bounded(
    signer: Signer, gateway_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "CACHE_ENTRIES", 3)

    async def work(authenticator: Authenticator) -> None:
        for number in range(10):
            await authenticator.principal(bearer(signer.token(claims(jti=str(number)))))
            assert len(authenticator._cache) <= 3

    run(signer, gateway_database, work)


def test_a_key_acts_with_the_rights_that_its_owner_has_now(
    signer: Signer, gateway_database: str, console_database: str
) -> None:
    key_id = issue(console_database)

    async def work(authenticator: Authenticator) -> None:
        caller = await authenticator.principal(bearer(KEY.text()))
        assert caller.key is not None
        assert (caller.subject, caller.key.id, caller.reads_up_to) == ("alice", key_id, 1)
        assert caller.scopes == {Scope.CHAT}
        assert caller.groups == ("/equipes/a",)

    run(signer, gateway_database, work)


def test_the_scheme_is_read_without_regard_to_case(
    signer: Signer, gateway_database: str, console_database: str
) -> None:
    issue(console_database)

    async def work(authenticator: Authenticator) -> None:
        for scheme in (b"bearer ", b"BEARER "):
            caller = await authenticator.principal(scheme + KEY.text().encode())
            assert caller.subject == "alice"

    run(signer, gateway_database, work)


def test_a_key_of_another_site_is_unknown(
    signer: Signer, gateway_database: str, console_database: str
) -> None:
    issue(console_database)

    async def work(authenticator: Authenticator) -> None:
        authenticator._site_secret = b"x" * 32
        with pytest.raises(UnauthenticatedError):
            await authenticator.principal(bearer(KEY.text()))

    run(signer, gateway_database, work)


SPOILED = [
    pytest.param(
        "UPDATE application_key SET revoked_at = now()", UnauthenticatedError, id="revoked"
    ),
    pytest.param(
        "UPDATE application_key SET created_at = now() - interval '2 days',"
        " expires_at = now() - interval '1 day'",
        UnauthenticatedError,
        id="expired",
    ),
    pytest.param(
        "UPDATE person SET enabled = false", UnauthenticatedError, id="owner disabled"
    ),
    pytest.param(
        "UPDATE person SET checked_at = now() - interval '61 s'",
        RevocationUnknownError,
        id="owner not checked for a minute",
    ),
    pytest.param("DELETE FROM person", RevocationUnknownError, id="owner unknown"),
]


@pytest.mark.parametrize(("statement", "error"), SPOILED)
def test_a_spoiled_key_is_refused(
    request: pytest.FixtureRequest, signer: Signer, statement: str, error: type[ApplianceError]
) -> None:
    gateway_database: str = request.getfixturevalue("gateway_database")
    issue(request.getfixturevalue("console_database"))
    dbname = conninfo_to_dict(gateway_database)["dbname"]
    superuser = make_conninfo(request.getfixturevalue("server"), dbname=dbname)
    with psycopg.connect(superuser) as conn:
        conn.execute(statement.encode())

    async def work(authenticator: Authenticator) -> None:
        with pytest.raises(error):
            await authenticator.principal(bearer(KEY.text()))

    run(signer, gateway_database, work)


def test_a_key_bound_to_a_network_is_refused_elsewhere_also_from_the_cache(
    signer: Signer, gateway_database: str, console_database: str
) -> None:
    issue(console_database, networks=("10.0.0.0/8",))

    async def work(authenticator: Authenticator) -> None:
        header = bearer(KEY.text())
        for address in ("", "192.168.0.1"):
            with pytest.raises(UnauthenticatedError):
                await authenticator.principal(header, address)
        assert (await authenticator.principal(header, "10.1.1.1")).key is not None
        assert authenticator.cached(header, time.time(), "10.1.1.2") is not None
        with pytest.raises(UnauthenticatedError):
            authenticator.cached(header, time.time(), "192.168.0.1")

    run(signer, gateway_database, work)


def test_without_the_database_a_key_is_not_refused_but_unknown(
    signer: Signer, gateway_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(store, "find_key", away)

    async def work(authenticator: Authenticator) -> None:
        with pytest.raises(RevocationUnknownError):
            await authenticator.principal(bearer(KEY.text()))

    run(signer, gateway_database, work)


def request(authenticator: Authenticator, **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()]
    scope = {"type": "http", "headers": raw, "state": {"authenticator": authenticator}}
    return Request(scope)


def test_a_handler_names_its_permission(signer: Signer, gateway_database: str) -> None:
    async def work(authenticator: Authenticator) -> None:
        caller = await current_principal(
            request(authenticator, authorization=f"Bearer {signer.token()}")
        )
        assert await require(Scope.CHAT)(caller) is caller
        with pytest.raises(ForbiddenError):
            await require(Scope.STOP)(caller)
        with pytest.raises(UnauthenticatedError):
            await current_principal(request(authenticator))

    run(signer, gateway_database, work)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        pytest.param("10.0.0.1", "10.0.0.1", id="one"),
        pytest.param("1.2.3.4, 10.0.0.1", "10.0.0.1", id="the last, which our front wrote"),
        pytest.param("", "", id="none"),
    ],
)
def test_the_address_is_the_one_that_our_front_end_saw(header: str, address: str) -> None:
    raw = [(b"x-forwarded-for", header.encode())]
    assert client_address(Request({"type": "http", "headers": raw})) == address

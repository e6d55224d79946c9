"""What the directory says of the owners of application keys, asked every 15 s by the console.

A key outlives the tokens of its owner, so that nobody would notice that the owner was disabled,
lost a role or left a group. One console at a time asks (advisory lock). Who lost a right has
everything given to them until now revoked: the next key they present is looked up again.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from psycopg import Error
from psycopg_pool import PoolTimeout

from appliance.db.pool import Pool
from appliance.errors import FormatError
from appliance.identity import store
from appliance.identity.bearer import Account, Bearer
from appliance.identity.tokens import HIGHEST_LABEL
from appliance.settings import RealmSettings

log = logging.getLogger(__name__)
PASS = 15.0  # seconds
TIMEOUT = aiohttp.ClientTimeout(total=5)
LOCK = 7164


@dataclass(frozen=True, slots=True)
class Service:
    """The console's own account in the realm: it may view people, nothing else."""

    realm: RealmSettings
    client_id: str
    secret: str = field(repr=False)


def clearance_of(attributes: Any) -> int:
    """Return the clearance that attributes of a person or group give; 0 for none."""
    values = (attributes or {}).get("clearance", []) if isinstance(attributes, dict) else []
    ranks = [int(v) for v in values if isinstance(v, str) and v.isascii() and v.isdigit()]
    return max((rank for rank in ranks if rank <= HIGHEST_LABEL), default=0)


def lost(before: store.PersonRow, now: store.PersonRow) -> bool:
    """Tell whether a person has less than before."""
    return (
        (before.enabled and not now.enabled)
        or now.clearance < before.clearance
        or bool(set(before.groups) - set(now.groups))
        or bool(set(before.roles) - set(now.roles))
    )


class Directory:
    """The pass over the owners of keys. An async context manager that repeats it."""

    def __init__(self, pool: Pool, service: Service, http: aiohttp.ClientSession) -> None:
        """Prepare; `http` is the one long-lived session of the process."""
        self._pool, self._http = pool, http
        self._admin = service.realm.backchannel.replace("/realms/", "/admin/realms/", 1)
        account = Account(service.realm.backchannel, service.client_id, service.secret)
        self._bearer = Bearer(account, http)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def look(self) -> int:
        """Ask the directory once about every owner of a key; return how many lost a right.

        Raises:
            aiohttp.ClientError, TimeoutError, FormatError: Keycloak cannot be asked.
        """
        async with self._pool.connection() as conn:
            if not await store.alone(conn, LOCK):
                return 0
            clearances: dict[str, int] = {}
            poorer: list[str] = []
            for before in await store.list_people(conn):
                now = await self._person(before, clearances)
                await store.put_person(conn, now)
                if lost(before, now):
                    poorer.append(now.subject)
            if poorer:
                await store.revoke(conn, "subject", poorer)
        return len(poorer)

    async def _person(
        self, before: store.PersonRow, clearances: dict[str, int]
    ) -> store.PersonRow:
        """Return what the directory says now; who is not there any more is disabled."""
        path = f"/users/{quote(before.subject, safe='')}"
        user = await self._get(path)
        if user is None:
            return store.PersonRow(before.subject, before.name, [], [], 0, enabled=False)
        roles = await self._get(f"{path}/role-mappings/realm/composite") or []
        groups = await self._get(f"{path}/groups") or []
        paths = sorted(str(group["path"]) for group in groups)
        ranks = [clearance_of(user.get("attributes"))]
        ranks += [
            await self._clearance(above, clearances) for p in paths for above in _above(p)
        ]
        return store.PersonRow(
            subject=before.subject,
            name=str(user["username"]),
            roles=sorted(str(role["name"]) for role in roles),
            groups=paths,
            clearance=max(ranks),
            enabled=bool(user.get("enabled")),
        )

    async def _clearance(self, path: str, known: dict[str, int]) -> int:
        if path not in known:
            group = await self._get(f"/group-by-path/{quote(path.strip('/'))}")
            known[path] = clearance_of((group or {}).get("attributes"))
        return known[path]

    async def _get(self, path: str) -> Any:
        """Return the JSON at a path of the admin API, None where there is nothing."""
        headers = {"Authorization": f"Bearer {await self._bearer.token()}"}
        address = f"{self._admin}{path}"
        async with self._http.get(address, headers=headers, timeout=TIMEOUT) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            answer.raise_for_status()
            return await answer.json()

    async def _keep(self) -> None:
        while True:
            try:
                await self.look()
            except (
                aiohttp.ClientError,
                TimeoutError,
                FormatError,
                Error,
                PoolTimeout,
            ) as exc:
                log.warning("directory.unread", extra={"reason": type(exc).__name__})
            await asyncio.sleep(PASS)


def _above(path: str) -> list[str]:
    """Return a group's path and those of its parents: clearances are inherited."""
    names = path.strip("/").split("/")
    return ["/" + "/".join(names[: n + 1]) for n in range(len(names))]

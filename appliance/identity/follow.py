"""Follows Keycloak's tables of events and has them recorded: `casemate identity events`.

Its own process and its own account in each realm, which may look at events and at nothing else.
A row is noted as told once the log has it, so that nothing is lost when either side goes away;
the place in each table is a file that outlives a restart. When the events of a realm are
switched off, or cannot be read, that is itself recorded: once when it begins, once at its end.
"""

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from appliance.errors import ApplianceError, FormatError
from appliance.identity.bearer import Account, Bearer
from appliance.identity.declaration import REALMS
from appliance.identity.events import (
    DEGRADED,
    PAGE,
    RESTORED,
    Place,
    Row,
    Told,
    of_administrator,
    of_person,
    switched_off,
)
from appliance.settings import read_secret
from appliance.trail_settings import EventsSettings

log = logging.getLogger(__name__)
TIMEOUT = aiohttp.ClientTimeout(total=20)
PATIENCE = 60.0  # seconds without an answer before that is recorded
ACTOR = "casemate-events"
TABLES: Mapping[str, Callable[[Row, str], Told | None]] = {
    "events": of_person,
    "admin-events": of_administrator,
}

Tell = Callable[[Sequence[Told]], Awaitable[None]]


class AwayError(ApplianceError):
    """Keycloak gives no events: away, or refusing."""

    code = "CM-IDE-05"


class Realm:
    """The events of one realm, as its own account reads them."""

    def __init__(self, name: str, account: Account, http: aiohttp.ClientSession) -> None:
        """Prepare. `account`: of the realm `name`; `http` is the session of the process."""
        self.name, self._http = name, http
        self._bearer = Bearer(account, http)
        self._admin = account.realm.replace("/realms/", "/admin/realms/", 1)

    async def rows(self, table: str, begin: int) -> AsyncIterator[list[Row]]:
        """Yield the rows of a table from a time on, oldest first, page by page.

        Each page begins at the time of the last row before it: rows that expire meanwhile
        would move an offset. Some rows come twice.

        Raises:
            AwayError: Keycloak does not give them.
        """
        first = 0
        while True:
            query: dict[str, int | str] = {
                "dateFrom": begin,
                "direction": "asc",
                "first": first,
                "max": PAGE,
            }
            page: list[Row] = await self._get(f"/{table}", query)
            yield page
            if len(page) < PAGE:
                return
            last = int(page[-1]["time"])
            begin, first = (last, 0) if last > begin else (begin, first + PAGE)

    async def config(self) -> Row:
        """Return which events the realm keeps.

        Raises:
            AwayError: Keycloak does not say.
        """
        found: Row = await self._get("/events/config", {})
        return found

    async def _get(self, path: str, query: Mapping[str, int | str]) -> Any:
        try:
            headers = {"Authorization": f"Bearer {await self._bearer.token()}"}
            async with self._http.get(
                self._admin + path, params=query, headers=headers, timeout=TIMEOUT
            ) as answer:
                answer.raise_for_status()
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, FormatError, ValueError) as exc:
            raise AwayError(f"{self.name}{path}: {type(exc).__name__}") from exc


class Places:
    """How far each table was read, and what was missing: one file, replaced whole."""

    def __init__(self, path: Path) -> None:
        """Read the file, if there is one.

        Raises:
            FormatError: It is there and cannot be read.
        """
        self._path = path
        self._places: dict[str, Place] = {}
        self.lacking: dict[str, str] = {}  # realm -> what was recorded as missing
        try:
            stored = json.loads(path.read_text("utf-8"))
            self._places = {name: Place.of(one) for name, one in stored["places"].items()}
            self.lacking = {str(realm): str(it) for realm, it in stored["lacking"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise FormatError(f"{path}: {exc}") from exc

    def of(self, name: str) -> Place:
        """Return the place in a table, at its beginning when it was never read."""
        return self._places.setdefault(name, Place())

    def keep_first(self) -> None:
        """Make the file, when there was nothing to note: who looks for it sees that it runs."""
        if not self._path.exists():
            self.keep()

    def keep(self) -> None:
        """Make them durable."""
        places = {name: place.stored() for name, place in self._places.items()}
        stored = {"lacking": self.lacking, "places": places}
        fresh = self._path.with_name(f".{self._path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(stored, file, separators=(",", ":"))
            file.flush()
            os.fsync(descriptor)
        fresh.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Follower:
    """Reads every table again and again, and has recorded what is new."""

    def __init__(self, realms: Sequence[Realm], places: Places, tell: Tell) -> None:
        """Prepare. `tell` returns once the log has all it was given."""
        self._realms, self._places, self._tell = realms, places, tell
        self._since: dict[str, float] = {}  # realm -> when it stopped answering

    async def look(self) -> int:
        """Read every table once; return how many rows were told.

        A realm that does not answer keeps nobody from the other.
        """
        told = 0
        for realm in self._realms:
            try:
                for table in TABLES:
                    told += await self._table(realm, table)
                lacking = switched_off(await realm.config())
            except AwayError as exc:
                await self._silent(realm.name, str(exc))
            else:
                self._since.pop(realm.name, None)
                await self._alarm(realm.name, ", ".join(lacking))
        self._places.keep_first()
        return told

    async def _table(self, realm: Realm, table: str) -> int:
        place = self._places.of(f"{realm.name}/{table}")
        now, count = int(time.time() * 1000), 0
        async for page in realm.rows(table, place.begin(now)):
            if rows := place.fresh(page):
                facts = [fact for row in rows if (fact := TABLES[table](row, realm.name))]
                if facts:
                    await self._tell(facts)
                place.done(rows, now)
                self._places.keep()
                count += len(facts)
        return count

    async def _silent(self, realm: str, reason: str) -> None:
        began = self._since.setdefault(realm, time.monotonic())
        log.warning("events.unread", extra={"realm": realm, "reason": reason})
        if time.monotonic() - began >= PATIENCE:
            await self._alarm(realm, "unread")

    async def _alarm(self, realm: str, lacking: str) -> None:
        """Record that events of a realm are missing, or are there again; each once."""
        if lacking == self._places.lacking.get(realm, ""):
            return
        if lacking:
            log.error("events.missing", extra={"realm": realm, "lacking": lacking})
        kind = DEGRADED if lacking else RESTORED
        data: dict[str, str | int] = {"part": f"events of {realm}"}
        if lacking:
            data["reason"] = lacking[:200]
        await self._tell([Told(kind, ACTOR, uuid4().hex, data)])
        self._places.lacking[realm] = lacking
        self._places.keep()


async def follow(settings: EventsSettings, tell: Tell, stop: asyncio.Event) -> None:
    """Follow both realms until `stop` is set.

    Args:
        settings: Where Keycloak is, and where the places are kept.
        tell: Returns once the log has what it was given; raises `OSError` or an
            `ApplianceError` when it has not, and is then asked again.
        stop: Set by who ends the process.

    Raises:
        SettingsError: The credential is absent or wrong.
        FormatError: The file of places is damaged.
    """
    places = Places(settings.state)
    secret = read_secret(settings.client_secret).decode().strip()
    async with aiohttp.ClientSession() as http:
        realms = [
            Realm(
                name, Account(f"{settings.keycloak}/realms/{name}", settings.client_id, secret),
                http,
            )
            for name in REALMS
        ]  # fmt: skip
        follower = Follower(realms, places, tell)
        while not stop.is_set():
            try:
                await follower.look()
            except (ApplianceError, OSError) as exc:
                log.warning("events.untold", extra={"reason": type(exc).__name__})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), settings.interval)

"""The process that keeps the copy at the collector of the site: reads the log, sends it.

The log itself is the queue: what the collector does not take stays where it is, and is read
again. Nothing waits in memory but one answer of the recorder. What can be sent no more, since
it was pruned before, or stayed behind in the log of an earlier epoch, is counted in a leaf
`audit.loss`.
That the collector is away for long, and is back, are events of the log too.
"""

import asyncio
import base64
import contextlib
import hashlib
import logging
import signal
import time

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.client import RecorderClient, RecorderError, new_id
from appliance.audit.event import FACTS, Kind
from appliance.audit.forward.collector import Place
from appliance.audit.forward.cursor import Cursor, CursorError
from appliance.audit.forward.delivery import Delivery
from appliance.audit.forward.syslog import Voice, index_of
from appliance.audit.note import Note
from appliance.settings import SettingsError
from appliance.trail_settings import ForwarderSettings

log = logging.getLogger(__name__)

MEASURES = "measures.prom"
ACTOR, PART = "forwarder", "collector"
READ = 256  # leaves at once
POLL = 0.5  # seconds between two looks at a log that does not grow
PAUSE, PAUSE_MAX = 1.0, 60.0  # seconds between two attempts to connect
STEADY = 10.0  # seconds after which a connection counts as one


def run(settings: ForwarderSettings) -> None:
    """Forward until the process is told to end.

    Raises:
        SettingsError: The certificates cannot be used.
        CursorError: The log is not the one of which lines were sent, or the cursor is unusable.
        RecorderError: The recorder stayed away at the start.
        RefusedError: The recorder does not let this user read.
    """
    asyncio.run(_run(settings))


async def _run(settings: ForwarderSettings) -> None:
    files = settings.authority, settings.certificate, settings.key
    try:
        place = Place.of((settings.collector, settings.port), files, settings.patience)
    except OSError as exc:
        raise SettingsError(f"certificates of the collector: {exc}") from exc
    voice = Voice(settings.host, "", settings.enterprise)
    delivery = Delivery(place, settings.state, voice, settings.settle_seconds)
    client = RecorderClient(settings.recorder, ACTOR)
    await client.connect()
    forwarder = Forwarder(settings, client, delivery)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, forwarder.end)
    try:
        await forwarder.forward()
    finally:
        delivery.drop()
        await client.close()


class Forwarder:
    """Reads and sends. Made and used inside the event loop."""

    def __init__(
        self, settings: ForwarderSettings, client: RecorderClient, delivery: Delivery
    ) -> None:
        self._settings, self._client, self._delivery = settings, client, delivery
        self._told = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._size = 0  # of the log, when last looked at
        self._opened = 0.0  # clock: when this connection was made
        self._cut_at = self._clock()  # clock, and seconds since 1970: since when it is away
        self._cut_since = int(time.time())  # 0: it is there
        self._alarmed = False
        self._pause = PAUSE
        self._anchored_at: float | None = None
        self._measured = 0.0

    def end(self) -> None:
        """Let `forward` return, once what was sent is settled or cannot be."""
        self._told.set()

    async def forward(self) -> None:
        """Forward until `end`.

        Raises:
            CursorError: See `run`.
            RecorderError: The recorder was away when something had to be recorded.
            RefusedError: The recorder does not admit it.
        """
        await self._begin()
        while not self._told.is_set():
            if not await self._connected():
                return
            try:
                await self._feed()
            except OSError as exc:
                self._cut(exc)
            finally:
                self._delivery.drop()

    async def _begin(self) -> None:
        """Look which log it is, and count what stayed behind in the one before."""
        state = await self._client.status()
        note = await self._note(state.size)
        origin = Checkpoint.parse(Note.parse(note).text).origin
        cursor = self._delivery.cursor
        if cursor.origin == origin:
            cursor.check(state.size)
        elif cursor.origin:
            if cursor.seen > cursor.received:
                await self._count_lost(cursor, cursor.seen, "epoch")
            cursor = cursor.follow(origin)
        else:
            cursor = Cursor(origin)
        voice = Voice(self._settings.host, origin, self._settings.enterprise)
        await asyncio.to_thread(self._delivery.begin, cursor, voice)

    # sending

    async def _feed(self) -> None:
        """Send what there is, until the end or until the connection breaks."""
        while True:
            ending = self._told.is_set()
            self._look()
            await self._restored()
            if ending or self._delivery.due(self._clock()):
                await self._settle()
            if ending:
                return
            try:
                busy = await self._send()
            except RecorderError:  # it is away: that is no cut
                busy = False
            if not busy:
                await asyncio.to_thread(self._delivery.check)
                await _wait(self._told, POLL)

    async def _send(self) -> bool:
        """Send leaves, or the newest checkpoint; tell whether there may be more at once."""
        delivery = self._delivery
        leaves = await self._client.read(delivery.position, READ)
        if not leaves:
            await self._send_checkpoint()
            return False
        if (first := index_of(leaves[0])) != delivery.position:
            await self._skip(first)
            return True
        await asyncio.to_thread(delivery.send, leaves, self._size, self._clock())
        return True

    async def _send_checkpoint(self) -> None:
        """Send the newest checkpoint, when all that it covers was sent."""
        state, delivery = await self._client.status(), self._delivery
        self._size = state.size
        if state.size < delivery.position:
            raise CursorError("the log has become shorter: it is another one, or restored")
        if not delivery.checkpoint[0] < state.checkpoint_size <= delivery.position:
            return
        note = await self._note(state.checkpoint_size)
        if Checkpoint.parse(Note.parse(note).text).size <= delivery.position:
            await asyncio.to_thread(delivery.tell, note, time.time_ns() // 1_000)

    async def _note(self, size: int) -> bytes:
        """Return the signed checkpoint of `size` leaves, or a later one."""
        return (await self._client.prove(size - 1))[1].note

    async def _settle(self) -> None:
        """Learn what arrived; what did not goes again when this fails."""
        if self._delivery.position > self._delivery.cursor.received:
            await asyncio.to_thread(self._delivery.settle)
            self._pause, self._opened = PAUSE, self._clock() - STEADY
            await self._anchor()

    # what the log is told

    async def _skip(self, first: int) -> None:
        """Count what is no longer in the log; what was sent is settled before."""
        await self._settle()
        cursor = self._delivery.cursor
        await self._count_lost(cursor, first, "pruned")
        voice = Voice(self._settings.host, cursor.origin, self._settings.enterprise)
        await asyncio.to_thread(self._delivery.begin, cursor.skip(first), voice)

    async def _count_lost(self, cursor: Cursor, end: int, reason: str) -> None:
        """Record which leaves the collector may not have. Twice is once: the id is the same."""
        start, to = cursor.received, self._settings.collector
        name = hashlib.sha256(f"{cursor.origin} {start} {end} {to}".encode()).hexdigest()
        await self._record(
            Kind.AUDIT_LOSS, name,
            count=end - start, end=end, first=start, log=cursor.origin, reason=reason, to=to,
        )  # fmt: skip

    async def _anchor(self) -> None:
        """Record that the collector has read a checkpoint, from time to time."""
        size, note = self._delivery.checkpoint
        every, last, now = self._settings.anchor_seconds, self._anchored_at, self._clock()
        if not size or not every or (last is not None and now - last < every):
            return
        self._anchored_at = now
        digest = base64.b64encode(hashlib.sha256(note).digest()).decode()
        await self._record(
            Kind.AUDIT_ANCHOR, new_id(),
            at=int(time.time()), digest=digest, kind="syslog", name=self._settings.collector,
            size=size,
        )  # fmt: skip

    async def _record(self, what: Kind, event_id: str, **data: str | int) -> None:
        await self._client.append(FACTS[what](actor=ACTOR, id=event_id, data=data))

    # the connection

    async def _connected(self) -> bool:
        """Connect, however long it takes; false when it is the end."""
        while not self._told.is_set():
            try:
                await asyncio.to_thread(self._delivery.open)
            except OSError as exc:
                self._cut(exc)
            else:
                self._opened = self._clock()
                return True
            await self._alarm()
            await _wait(self._told, self._pause)
            self._pause = min(2 * self._pause, PAUSE_MAX)
        return False

    def _cut(self, exc: OSError) -> None:
        """Note that the collector is away."""
        if not self._cut_since:
            self._cut_at, self._cut_since = self._clock(), int(time.time())
        log.warning("the collector is away: %s", exc)
        self._measure()

    async def _alarm(self) -> None:
        """Record that the collector is away for long, once."""
        away = self._clock() - self._cut_at
        if self._alarmed or away < self._settings.alarm_seconds:
            return
        self._alarmed = True
        log.critical("the collector is away for %d s", away)
        name = self._settings.collector
        await self._record(Kind.SERVICE_DEGRADED, new_id(), name=name, part=PART)

    def _look(self) -> None:
        """Note that the collector is back, once the connection lasts; write the figures."""
        if self._cut_since and self._clock() - self._opened >= STEADY:
            self._cut_since, self._pause, self._measured = 0, PAUSE, 0.0
        self._measure()

    async def _restored(self) -> None:
        """Record that the collector is back, if it was away for long."""
        if self._alarmed and not self._cut_since:
            self._alarmed = False
            name = self._settings.collector
            await self._record(Kind.SERVICE_RESTORED, new_id(), name=name, part=PART)

    def _measure(self) -> None:
        """Write the figures for the monitoring, once a second; losing them harms nothing."""
        if self._clock() - self._measured < 1 and not self._cut_since:
            return
        self._measured, cursor = self._clock(), self._delivery.cursor
        figures = {
            "away_since_seconds": self._cut_since, "lost": cursor.lost,
            "received": cursor.received, "measured_seconds": int(time.time()),
        }  # fmt: skip
        lines = "".join(f"casemate_forwarder_{name} {n}\n" for name, n in figures.items())
        fresh = self._settings.state / f"{MEASURES}.new"
        with contextlib.suppress(OSError):
            fresh.write_text(lines, "ascii")
            fresh.replace(self._settings.state / MEASURES)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so long."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)

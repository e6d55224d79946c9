"""Keeps the working copy up with the log, compares the two all day, makes the copy anew.

Leaves come from the recorder's socket in batches; rows and place move in one transaction, so
that a process killed anywhere goes on where the last one committed. Two of them at once do no
harm: the place is locked while rows are added. Recorder or PostgreSQL away: it waits.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection

from appliance.audit.client import RecorderClient, RecorderError
from appliance.audit.index import store
from appliance.audit.index.row import Row, first_difference, in_a_row, read
from appliance.audit.index.store import Side
from appliance.errors import ApplianceError, FormatError
from appliance.trail_settings import IndexerSettings

log = logging.getLogger(__name__)

BATCH = 1_024  # leaves of one transaction
_PAUSE = 1.0  # seconds before the next try, when a part is away
_AWAY = (psycopg.OperationalError, RecorderError, OSError)
Told = Callable[[int, int], None]  # leaves taken, leaves that there are


class BusyError(ApplianceError):
    """Another rebuild of the copy is running."""

    code = "CM-JRN-31"


class OtherLogError(ApplianceError):
    """The log is not the one the copy was made of: an older one, a new epoch, an edited row."""

    code = "CM-JRN-32"


@dataclass(slots=True)
class Pass:
    """A comparison of the whole copy with the log, slice by slice."""

    next: int = 0
    differs: int | None = None
    due: float = 0.0  # of the loop's clock: when the next one begins


class Indexer:
    """One connection to each side: the log and PostgreSQL."""

    def __init__(self, recorder: RecorderClient, conn: AsyncConnection) -> None:
        """Take both, connected; PostgreSQL without an open transaction."""
        self._recorder, self._conn = recorder, conn

    async def take(self, *, serving: bool = True) -> int:
        """Bring a side on by one batch; return how many leaves it took.

        Raises:
            OtherLogError: The log is not the one that the copy was made of.
            FormatError: What the recorder gave is no leaf, or not the next one.
        """
        async with self._conn.transaction():
            side = await store.read_side(self._conn, serving=serving)
            last = await store.read_rows(self._conn, side, side.next - 1, side.next)
        stored = await self._recorder.read(max(side.next - 1, 0), BATCH)
        rows = await asyncio.to_thread(_rows, stored, last)
        if not rows:
            return 0
        async with self._conn.transaction():
            locked = await store.read_side(self._conn, serving=serving, lock=True)
            if locked != side:  # another process moved on: ask again
                return 0
            await store.add(self._conn, side, rows)
            if pruned := max(row.pruned for row in rows):
                await store.prune(self._conn, side, pruned)
        return len(rows)

    async def rebuild(self, told: Told) -> int:
        """Fill the other side from the first leaf, let it serve, empty the old one.

        Returns:
            How many leaves the new copy was made of.

        Raises:
            BusyError: Another rebuild runs.
            FormatError: What the recorder gave is no leaf, or not the next one.
        """
        async with self._conn.transaction():
            if not await store.take_turn(self._conn):
                raise BusyError("a rebuild is running")
        await self._empty_other()
        while True:
            taken = await self.take(serving=False)
            async with self._conn.transaction():
                other = await store.read_side(self._conn, serving=False)
            told(other.next, max((await self._recorder.status()).size, other.next))
            # Also while events come: a full batch says that there are more, less is the end.
            if taken < BATCH - 1 and await self._switch():
                break
        with contextlib.suppress(psycopg.errors.LockNotAvailable):  # the next one does it
            await self._empty_other()
        return other.next - other.first

    async def _switch(self) -> bool:
        async with self._conn.transaction():
            return await store.switch(self._conn)

    async def _empty_other(self) -> None:
        async with self._conn.transaction():
            await store.empty(self._conn, await store.read_side(self._conn, serving=False))

    async def compare(self, one: Pass, interval: float) -> None:
        """Compare one batch of the copy with the log; note what a whole pass said.

        Raises:
            FormatError: What the recorder gave is no leaf, or not the next one.
        """
        async with self._conn.transaction():
            side = await store.read_side(self._conn, serving=True)
        start = max(one.next, side.first)
        end = min(start + BATCH, side.next)
        if start < end:
            stored = await self._recorder.read(start, end - start)
            expected = await asyncio.to_thread(lambda: list(in_a_row(stored, start)))
            async with self._conn.transaction():
                found = await store.read_rows(self._conn, side, start, end)
            if one.differs is None and (wrong := first_difference(expected, found)):
                one.differs = wrong.idx
            one.next = end
            return
        await self._end(one, side, interval)

    async def _end(self, one: Pass, side: Side, interval: float) -> None:
        async with self._conn.transaction():
            if one.differs is None:
                one.differs = await store.count_beyond(self._conn, side)
            await store.note_comparison(self._conn, one.next - side.first, one.differs)
        if one.differs is not None:
            log.error("the copy is not as the log", extra={"record": one.differs})
        one.next, one.differs = 0, None
        one.due = asyncio.get_running_loop().time() + interval


def _rows(stored: list[bytes], last: Sequence[Row]) -> list[Row]:
    """Return the rows of new leaves; the first of them all may follow what was pruned.

    Args:
        stored: Leaves, of which the first is the last one of the copy, where it has one.
        last: The last row of the copy.
    """
    if not last:
        return list(in_a_row(stored, read(stored[0]).idx)) if stored else []
    if not stored or first_difference(last, [read(stored[0])]):
        raise OtherLogError(f"the log has not, or not so, the event {last[0].idx} of the copy")
    return list(in_a_row(stored[1:], last[0].idx + 1))


async def run(settings: IndexerSettings) -> None:
    """Keep the copy up until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


async def serve(settings: IndexerSettings, stop: asyncio.Event) -> None:
    """Keep the copy up until `stop` is set, whatever goes away and comes back."""
    one = Pass()
    while not stop.is_set():
        try:
            await _serve_once(settings, stop, one)
        except _AWAY as exc:
            log.warning("the index waits", extra={"cause": type(exc).__name__})
        except (OtherLogError, FormatError) as exc:
            log.error("the index waits", extra={"cause": str(exc)})  # noqa: TRY400 - no stack
        await _pause(stop, _PAUSE)


async def _serve_once(settings: IndexerSettings, stop: asyncio.Event, one: Pass) -> None:
    recorder = RecorderClient(settings.recorder, "indexer")
    await recorder.connect()
    try:
        async with await AsyncConnection.connect(settings.database, autocommit=True) as conn:
            log.info("the index follows the log")
            indexer = Indexer(recorder, conn)
            while not stop.is_set():
                if await indexer.take():
                    continue
                if asyncio.get_running_loop().time() >= one.due:
                    await indexer.compare(one, settings.compare_interval)
                await _pause(stop, settings.interval)
    finally:
        await recorder.close()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return

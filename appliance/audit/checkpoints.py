"""When checkpoints are made: at an interval while the log grows, at once for a proof.

Files are written in a thread, one checkpoint at a time; the log goes on growing meanwhile. The
state of the admission is kept beside each checkpoint. A disk without room is given some
minutes, in which records are durable and not signed; any other failure ends the process.
"""

import asyncio
import contextlib
import errno
import logging
import time

from appliance.audit.publisher import Publisher
from appliance.audit.writer import Writer
from appliance.errors import VerificationError

log = logging.getLogger(__name__)

UNSIGNED_MAX = 300  # seconds without a checkpoint when there is no room for one
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
PAUSE = 1  # seconds between two checkpoints at least
LEAVES_MAX = 65_536  # kept in memory before a checkpoint is made early


class Checkpoints:
    """The published end of the log."""

    def __init__(self, writer: Writer, publisher: Publisher, interval: float) -> None:
        """Prepare.

        Args:
            writer: Of the log.
            publisher: Of the same log.
            interval: Seconds between checkpoints while the log grows.
        """
        self._writer, self._publisher, self._interval = writer, publisher, interval
        self._wanted, self._ending = asyncio.Event(), asyncio.Event()
        self._done = asyncio.Condition()
        self.at = 0  # microseconds since 1970: the last one that this process made
        self.failing_since: float | None = None  # of the loop's clock: there is no room
        self._anchored = writer.volume.read_anchored()

    async def make_forever(self) -> None:
        """Make checkpoints, until `end`.

        Raises:
            OSError: A write failed: the process has to end.
            RollbackError: Another process signed.
        """
        while not self._ending.is_set():
            await _wait(self._wanted, self._interval)
            self._wanted.clear()
            await self.make()
            await _wait(self._ending, PAUSE)

    def end(self) -> None:
        """Let `make_forever` return; a checkpoint that is being written ends first."""
        self._ending.set()
        self._wanted.set()

    async def make(self) -> None:
        """Publish what is durable, if that is more than was published.

        Raises:
            OSError: A write failed, or there is no room for too long.
            RollbackError: Another process signed.
        """
        writer = self._writer
        writer.commit()  # so that the state is that of the last durable leaf
        leaves, hashes = writer.unpublished()
        if leaves:
            state, anchored = writer.admission.to_bytes(), writer.anchored
            try:
                if anchored is not None and anchored != self._anchored:
                    # First: else a leaf could be published that no file and no tail tells of.
                    await asyncio.to_thread(writer.volume.write_anchored, anchored)
                    self._anchored = anchored
                await asyncio.to_thread(self._write, leaves, hashes, state)
            except OSError as exc:
                self._fail(exc)
            else:
                self.failing_since, self.at = None, time.time_ns() // 1000
            writer.published(self._publisher.head.size - writer.first)
        async with self._done:
            self._done.notify_all()

    def _fail(self, exc: OSError) -> None:
        now = asyncio.get_running_loop().time()
        self.failing_since = self.failing_since or now
        if exc.errno not in _NO_ROOM or now - self.failing_since >= UNSIGNED_MAX:
            raise exc
        log.warning("no room for a checkpoint: %s", exc)

    def look(self) -> None:
        """Ask for a checkpoint when very much waits for one."""
        if len(self._writer.recent) > LEAVES_MAX:
            self._wanted.set()

    async def cover(self, index: int) -> None:
        """Return when a checkpoint covers this leaf.

        Raises:
            VerificationError: There is no such leaf.
        """
        if index >= self._writer.volume.size:
            raise VerificationError(f"there is no record {index} yet")
        if index >= self._publisher.head.size:
            self._wanted.set()
        async with self._done:
            await self._done.wait_for(lambda: index < self._publisher.head.size)

    def _write(self, leaves: list[bytes], hashes: list[bytes], state: bytes) -> None:
        self._publisher.publish(leaves, hashes)
        self._writer.volume.write_snapshot(state)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)

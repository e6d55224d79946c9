"""Writes the exports that wait: one at a time, gone on with after a kill, kept for a week.

An export is a folder that `export.py` writes; here it becomes one archive, which the console
hands over. What was asked for was recorded when it was; that it is there is recorded before it
can be taken.
"""

import asyncio
import contextlib
import logging
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.audit.client import RecorderClient, RecorderError
from appliance.audit.contents import Form, Order
from appliance.audit.event import Kind, fact
from appliance.audit.export import Exported
from appliance.audit.export import export as write
from appliance.audit.exporting import store
from appliance.audit.exporting.store import Export
from appliance.errors import ApplianceError

log = logging.getLogger(__name__)

KEPT_DAYS = 7
LOOK, STEP, HOUR = 2.0, 0.5, 3_600.0  # seconds
DISK = "CM-JRN-34"
_MICRO = 1_000_000
_AWAY = (psycopg.Error, PoolTimeout, RecorderError)


@dataclass(slots=True)
class Progress:
    """How many events are written; told by a thread, read by the loop."""

    done: int = 0
    stopped: bool = False  # nobody waits: the worker ends

    def __call__(self, done: int, total: int) -> None:
        """Take in how far it is.

        Raises:
            InterruptedError: The worker ends; the next one goes on from here.
        """
        del total
        self.done = done
        if self.stopped:
            raise InterruptedError("the worker ends")


def archive_of(folder: Path, export: UUID) -> Path:
    """Return where the archive of an export lies."""
    return folder / f"{export}.tar"


class Writing:
    """The exports of one worker."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        recorder: RecorderClient,
        directory: Path,
        out: Path,
    ) -> None:
        """Prepare.

        Args:
            pool: Connections as `casemate_worker`.
            recorder: Of this process.
            directory: Folder of the log.
            out: Folder in which exports are made.
        """
        self._pool, self._recorder = pool, recorder
        self._log, self._out = directory, out

    async def forever(self) -> None:
        """Write what waits, as long as the worker runs."""
        expired = -HOUR
        while True:
            try:
                if asyncio.get_running_loop().time() - expired >= HOUR:
                    await self.expire()
                    expired = asyncio.get_running_loop().time()
                if await self.write_next():
                    continue
            except _AWAY as exc:
                log.warning("exports wait", extra={"cause": type(exc).__name__})
            await asyncio.sleep(LOOK)

    async def write_next(self) -> bool:
        """Write the export that waits longest; false when none does."""
        async with self._pool.connection() as conn:
            one = await store.next_waiting(conn)
        if one is None:
            return False
        try:
            made = await self._made(one)
            archive = archive_of(self._out, one.id)
            await asyncio.to_thread(_pack, made, archive)
        except ApplianceError as exc:
            if isinstance(exc, RecorderError):
                raise
            await self._fail(one, exc.code, str(exc))
        except OSError as exc:
            await self._fail(one, DISK, exc.strerror or "")
        else:
            await self._finish(one, made, archive.stat().st_size)
        return True

    async def _made(self, one: Export) -> Exported:
        progress = Progress()
        telling = asyncio.create_task(self._tell(one.id, progress))
        try:
            return await asyncio.to_thread(_write, self._log, self._folder(one), one, progress)
        finally:
            progress.stopped = True
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling

    async def _tell(self, export: UUID, progress: Progress) -> None:
        while True:
            await asyncio.sleep(STEP)
            with contextlib.suppress(*_AWAY):
                async with self._pool.connection() as conn:
                    await store.note_written(conn, export, progress.done)

    async def _finish(self, one: Export, made: Exported, size: int) -> None:
        done = fact(
            Kind.AUDIT_EXPORT, one.owner, f"export-{one.id.hex}-done", state="done",
            first=one.first, last=one.last, sums=made.sums, export=str(one.id),
        )  # fmt: skip
        await self._recorder.append(done)
        async with self._pool.connection() as conn:
            await store.finish(conn, one.id, made.folder.name, made.sums, size)
        await asyncio.to_thread(shutil.rmtree, self._folder(one), ignore_errors=True)

    async def _fail(self, one: Export, code: str, reason: str) -> None:
        log.error("export failed", extra={"export": str(one.id), "code": code, "why": reason})
        async with self._pool.connection() as conn:
            await store.fail(conn, one.id, code)
        await asyncio.to_thread(shutil.rmtree, self._folder(one), ignore_errors=True)

    async def expire(self) -> int:
        """Delete what was made a week ago; return how many exports went."""
        async with self._pool.connection() as conn:
            gone = await store.expire(conn, KEPT_DAYS)
        for export in gone:
            archive_of(self._out, export).unlink(missing_ok=True)
        return len(gone)

    def _folder(self, one: Export) -> Path:
        return self._out / str(one.id)


def _write(directory: Path, out: Path, one: Export, progress: Progress) -> Exported:
    out.mkdir(mode=0o750, parents=True, exist_ok=True)
    order = Order(
        first=one.first, last=one.last, label=one.label, site=one.site,
        formats=frozenset(map(Form, one.formats)), made=int(one.at.timestamp() * _MICRO),
        made_by=one.owner,
    )  # fmt: skip
    for whole in out.iterdir():  # made, and the worker died before it could say so
        if whole.suffix != ".part":
            shutil.rmtree(whole) if whole.is_dir() else whole.unlink()
    return write(directory, out, order, progress)


def _pack(made: Exported, archive: Path) -> None:
    """Put the folder into one archive; nobody sees half of one."""
    part = archive.with_suffix(".part")
    with tarfile.open(part, "w") as tar:
        for path in sorted(made.folder.parent.iterdir()):
            tar.add(path, arcname=path.name)
    part.rename(archive)

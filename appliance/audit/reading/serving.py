"""The process of the reader: its socket, who may speak on it, the keys of the months."""

import asyncio
import contextlib
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.audit.client import RecorderClient, new_id
from appliance.audit.event import Kind, fact
from appliance.audit.frame import Unpacker, pack
from appliance.audit.peer import uid_of
from appliance.audit.reading import store
from appliance.audit.reading.frame import Answer, Question
from appliance.audit.reading.month_keys import MonthKeys, overdue, write_whole
from appliance.audit.reading.reader import ACTOR, Reader, UnreadableError, fingerprint
from appliance.audit.reading.store import SealedRow
from appliance.db.pool import Pool
from appliance.errors import ApplianceError, FormatError
from appliance.identity import policy
from appliance.settings import read_secret
from appliance.trail_settings import ReaderSettings

log = logging.getLogger(__name__)

ROTATION = 3_600  # seconds between two looks at the calendar
_FRAME_BYTES = 4_096
_decode = msgspec.json.Decoder(Question).decode


class Database:
    """The ciphertexts in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, record: int) -> SealedRow | None:
        """Return the row of a record.

        Raises:
            UnreadableError: The database is away.
        """
        try:
            async with self._pool.connection() as conn:
                return await store.find_sealed(conn, record)
        except (DatabaseError, PoolTimeout) as exc:
            raise UnreadableError("the database is away") from exc


async def rotate(keys: MonthKeys, recorder: RecorderClient, public: Path, kept: int) -> None:
    """Have a key for this month, tell the gateways, and destroy those that outlived their use.

    Each change is in the log before it holds.

    Args:
        keys: Of the reader.
        recorder: Takes the records.
        public: File that the gateways follow.
        kept: Months for which contents are kept.
    """
    month = f"{datetime.now(UTC):%Y-%m}"
    key = keys.make(month)
    if published(public) != key:
        issued = fact(
            Kind.KEY_ISSUE, ACTOR, f"reader-key-{month}-{fingerprint(key)[:16]}",
            use="content", month=month, sha256=fingerprint(key),
        )  # fmt: skip
        await recorder.append(issued)
        write_whole(public, key, 0o644)
    for old in overdue(keys.months(), month, kept):
        gone = fact(Kind.KEY_REVOKE, ACTOR, new_id(), use="content", month=old)
        await recorder.append(gone)
        keys.destroy(old)


def published(path: Path) -> bytes:
    """Return the public key that the gateways see; empty before the first one."""
    return path.read_bytes() if path.exists() else b""


def run(settings: ReaderSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: A credential is missing.
        RecorderError: The recorder is away.
        OSError: The socket or a folder cannot be used.
    """
    asyncio.run(_until_told(settings))


async def _until_told(settings: ReaderSettings) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await serve(settings, told)


async def serve(settings: ReaderSettings, told: asyncio.Event) -> None:
    """Serve until told to end. Raises as `run` does."""
    keys = MonthKeys(settings.keys, read_secret(settings.wrapping_key))
    async with contextlib.AsyncExitStack() as stack:
        pool: Pool = AsyncConnectionPool(
            settings.database, open=False, min_size=0, max_size=2, timeout=5
        )
        await stack.enter_async_context(pool)
        recorder = RecorderClient(settings.recorder, ACTOR)
        await recorder.connect()
        stack.push_async_callback(recorder.close)
        await _rotate(settings, keys, recorder)
        reader = Reader((recorder, Database(pool), keys.open), settings.gateways, settings.keys)
        server = await _listen(settings, reader)
        stack.callback(settings.socket.unlink, missing_ok=True)
        stack.callback(server.close)
        calendar = asyncio.create_task(_follow_calendar(settings, keys, recorder))
        stack.callback(calendar.cancel)
        log.info("the reader serves")
        await told.wait()


async def _listen(settings: ReaderSettings, reader: Reader) -> asyncio.Server:
    settings.socket.unlink(missing_ok=True)

    async def connected(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            if uid_of(sink.get_extra_info("socket")) in settings.clients:
                await _converse(reader, source, sink)
        except (OSError, FormatError) as exc:
            log.warning("a connection ended: %s", exc)
        finally:
            sink.close()

    server = await asyncio.start_unix_server(
        connected, str(settings.socket), start_serving=False
    )
    # Who may connect is the group of the directory (setgid), which the socket inherits.
    settings.socket.chmod(0o660)
    await server.start_serving()
    return server


async def _converse(
    reader: Reader, source: asyncio.StreamReader, sink: asyncio.StreamWriter
) -> None:
    unpacker = Unpacker(_FRAME_BYTES)
    while data := await source.read(_FRAME_BYTES):
        for body in unpacker.feed(data):
            sink.write(pack(msgspec.json.encode(await _reply(reader, body))))
            await sink.drain()


async def _reply(reader: Reader, body: bytes) -> Answer:
    try:
        question = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return Answer(FormatError.code, f"not a question: {exc}")
    return await reader.answer(question)


async def _follow_calendar(
    settings: ReaderSettings, keys: MonthKeys, recorder: RecorderClient
) -> None:
    while True:
        await asyncio.sleep(ROTATION)
        try:
            await _rotate(settings, keys, recorder)
        except (ApplianceError, OSError) as exc:
            log.warning("the keys stay as they are: %s", exc)


async def _rotate(settings: ReaderSettings, keys: MonthKeys, recorder: RecorderClient) -> None:
    rules = policy.read(settings.policy)
    # Where contents wait for a visa, they stay longer than their months.
    kept = rules.retention_ceiling if rules.retention_visa else rules.retention_months
    await rotate(keys, recorder, settings.public_key, kept)

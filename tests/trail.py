"""What stands in a log whose recorder runs, as one of its clients reads it.

And a check of the table of who acts: a test that the table names has to leave the types that it
promises in a log that was made by our own code, on the disk.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from appliance.audit import volume
from appliance.audit.client import RecorderClient
from appliance.audit.event import Event, Fact, Kind, Leaf
from tests import trail_table
from tests.trail_table import Written

_TYPE = re.compile(rb'"type":"casemate\.([a-z.]+)\.v1"')
LOGS: set[Path] = set()  # every log that this session made
_read: dict[Path, tuple[tuple[int, int], Counter[str]]] = {}  # file -> its stamp, its types
PROMISED: dict[str, set[str]] = {}
for _table in (
    trail_table.CONSOLE, trail_table.GATEWAY, trail_table.COMMANDS, trail_table.OTHERS,
):  # fmt: skip
    for _says in _table.values():
        if isinstance(_says, Written):
            PROMISED.setdefault(_says.test, set()).update(_says.types)


def _noted(create: Callable[..., Any]) -> Callable[..., Any]:
    def made(directory: Path, *rest: Any, **more: Any) -> Any:
        LOGS.add(directory)
        return create(directory, *rest, **more)

    return made


volume.create = _noted(volume.create)


def _types() -> Counter[tuple[Path, str]]:
    """Return how often each type is written in each file of every log.

    A file that did not change since the last time is not read again: a run makes hundreds.
    """
    found: Counter[tuple[Path, str]] = Counter()
    for log in [log for log in LOGS if not log.exists()]:
        LOGS.discard(log)
    for path in [path for log in LOGS for path in log.rglob("*") if path.is_file()]:
        at = path.stat()
        stamp = (at.st_mtime_ns, at.st_size)
        if _read.get(path, (None,))[0] != stamp:
            names = Counter(name.decode() for name in _TYPE.findall(path.read_bytes()))
            _read[path] = stamp, names
        found.update({(path, name): count for name, count in _read[path][1].items()})
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test of the table that did not write what the table says of it."""
    types = PROMISED.get(item.nodeid, PROMISED.get(item.nodeid.split("[")[0]))
    if types is None:
        return (yield)
    before = _types()
    result = yield
    written = {name for _, name in _types() - before}
    if missing := types - written:
        pytest.fail(f"the table says that this test writes {sorted(missing)}; it did not")
    return result


def events_of(recorder: Path) -> list[Event]:
    """Return the events of the log behind a socket, in its order."""

    async def read() -> list[bytes]:
        client = RecorderClient(recorder, "test-reader")
        await client.connect()
        try:
            return await client.read(0, 100_000)
        finally:
            await client.close()

    return [Leaf.parse(one).event for one in asyncio.run(read())]


def facts_of(recorder: Path, *kinds: Kind) -> list[Fact]:
    """Return the facts of the log, of some kinds only when any are named."""
    found = [event for event in events_of(recorder) if isinstance(event, Fact)]
    return [one for one in found if not kinds or one.kind in kinds]

"""CPU of the recorder per request: an intent and its end, durable, three budgets each.

`python -m bench.recorder [SECONDS]` prints one line per number of requests on their way. The
client's own cost is not counted; run it on an idle machine to compare figures.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from appliance.audit.client import RecorderClient, new_id
from appliance.settings import RecorderSettings
from tests.recording import completion, intent, new_log, running

BUDGETS = ("site", "team:/equipes/rh", "user:1f0c7d7e-4b8e-4c54-9d0e-0f1f5a6b7c8d")
RESERVE, SPEND = dict.fromkeys(BUDGETS, 900), dict.fromkeys(BUDGETS, 400)
SEALED = bytes(160)


def cpu(pid: int) -> int:
    """Return the nanoseconds that a process ran, its threads included."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


async def load(client: RecorderClient, width: int, seconds: float) -> int:
    end, done = time.perf_counter() + seconds, 0

    async def ask() -> None:
        nonlocal done
        while time.perf_counter() < end:
            request = new_id()
            await client.append(intent(0, id=new_id(), request=request, reserve=RESERVE))
            ending = completion(0, id=new_id(), request=request, spend=SPEND, content="sealed")
            await client.append(ending, SEALED)
            done += 1

    await asyncio.gather(*[ask() for _ in range(width)])
    return done


async def measure(settings: RecorderSettings, pid: int, seconds: float) -> None:
    client = RecorderClient(settings.socket, "bench")
    await client.connect()
    await load(client, 8, 1)
    for width in (1, 32, 128):
        before, start = cpu(pid), time.perf_counter()
        done = await load(client, width, seconds)
        spent, wall = cpu(pid) - before, time.perf_counter() - start
        print(
            f"c={width:<4} {done / wall:8.0f} requests/s {spent / done / 1000:6.1f} us of CPU"
        )
    await client.close()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        settings = new_log(Path(folder), segment_bytes=64 << 20, checkpoint_interval=10)
        with running(settings) as process:
            os.sched_setaffinity(0, {0})
            asyncio.run(measure(settings, process.pid, seconds))


if __name__ == "__main__":
    main()

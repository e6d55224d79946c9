"""One process of the race for a budget: `python -m tests.audit.racer SOCKET NAME COUNT`.

It is connected when it prints a line, and starts when it reads one. All its requests ask at
once, and again when they are refused; each that is admitted is held for a while. Like a
gateway it tells what it serves, and closes what it was given.
"""

import asyncio
import random
import sys
from pathlib import Path

from appliance.audit.client import RecorderClient, RecorderError, RefusedError, new_id
from tests.recording import completion, intent

TRIES = 8


async def race(path: Path, name: str, count: int) -> None:
    live: set[str] = set()
    client = RecorderClient(path, name, live=lambda: list(live), patience=30)
    await client.connect()

    async def ask() -> None:
        for _ in range(TRIES):
            request = new_id()
            asked = intent(0, id=new_id(), request=request, reserve={"site": 1})
            try:
                await client.append(asked)
            except (RefusedError, RecorderError):
                await asyncio.sleep(random.random() * 0.5)  # noqa: S311 - no secret
                continue
            live.add(request)
            await asyncio.sleep(random.random() * 0.5)  # noqa: S311 - no secret
            spend = random.randrange(2)  # noqa: S311 - no secret
            ending = completion(0, id=new_id(), request=request, spend={"site": spend})
            await client.append(ending)
            live.discard(request)

    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*[ask() for _ in range(count)])
    await client.close()


if __name__ == "__main__":
    asyncio.run(race(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

"""Whatever keeps the recorder from writing: 503 within two seconds, and no engine is asked."""

import asyncio
import resource
import signal
import time
from collections.abc import Callable

import pytest

from tests import recording
from tests.gateway.engine import Engine, engine
from tests.gateway.stand import Client, Site, calls, gateway

TOLD = 2.0  # seconds in which a person is told
SLOW = 1.0  # more, on a busy machine of tests


def _held(site: Site) -> None:
    site.recorder.send_signal(signal.SIGSTOP)


def _killed(site: Site) -> None:
    site.recorder.kill()


def _no_room(site: Site) -> None:
    """Let each write of the recorder fail, as on a full disk."""
    resource.prlimit(site.recorder.pid, resource.RLIMIT_FSIZE, (100, 100))


def _unlinked(site: Site) -> None:
    for path in (site.log.directory / "journal").iterdir():
        path.unlink()


def _left(site: Site) -> None:
    """Tell the recorder to end, as somebody who maintains it."""
    recording.stop(site.recorder)


BREAKS = [_held, _killed, _no_room, _unlinked, _left]


async def refused(ana: Client, chat: Engine) -> None:
    """Ask several at once: all are told no in time, and the engine hears of none."""
    before, began = len(chat.asked), time.monotonic()
    answers = await asyncio.gather(*(ana.chat() for _ in range(8)))
    took = time.monotonic() - began
    said = {(status, body["error"]["code"]) for status, body, _ in answers}
    assert said == {(503, "CM-JRN-01")}
    assert took < TOLD + SLOW
    assert len(chat.asked) == before


@pytest.mark.parametrize("breaks", BREAKS, ids=lambda of: of.__name__.strip("_"))
def test_without_a_record_no_engine_is_asked_and_people_are_told_in_time(
    site: Site, breaks: Callable[[Site], None]
) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            status, body, _ = await ana.chat()
            assert status == 200
            kept = body["casemate"]["receipt"]["index"]
            breaks(site)
            await asyncio.sleep(0.05)
            await refused(ana, chat)
            if breaks is _unlinked:
                recording.end(site.recorder)
                said = await asyncio.to_thread(recording.refused_start, site.log)
                assert "journal" in said  # it is gone, and none is made in its place
                return
            await asyncio.to_thread(site.restart_recorder)
            found = await calls(site)
            assert len(found) >= 2
            assert kept >= 2
            status = 503
            async with asyncio.timeout(20):
                while status == 503:
                    status, body, _ = await ana.chat()
            assert status == 200
            assert body["casemate"]["receipt"]["index"] > kept

    asyncio.run(main())

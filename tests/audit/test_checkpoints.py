import asyncio
import errno
import threading
from collections.abc import Awaitable, Callable

import pytest

from appliance.audit import checkpoints
from appliance.audit.checkpoints import Checkpoints
from appliance.audit.lifecycle import replay
from appliance.audit.publisher import Publisher, RollbackError
from appliance.audit.tree import leaf_hash
from appliance.audit.volume import Volume
from appliance.errors import VerificationError
from appliance.ledger.admission import Admission
from appliance.settings import RecorderSettings
from tests.audit.parts import CALENDAR, Parts, opened
from tests.recording import completion, intent

Work = Callable[[Checkpoints, Parts], Awaitable[None]]


def made(settings: RecorderSettings, work: Work, interval: float = 60) -> None:
    async def run(parts: Parts) -> None:
        await work(Checkpoints(parts.writer, parts.publisher, interval), parts)

    with opened(settings) as parts:
        asyncio.run(run(parts))


def test_a_checkpoint_covers_what_is_durable_and_keeps_the_state(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1), intent(2))
        await tested.make()
        parts.append(completion(1))
        assert parts.publisher.head.size == 2
        assert parts.publisher.head.root != parts.writer.frontier.root()
        snapshot = parts.volume.read_snapshot()
        assert snapshot is not None
        state = Admission(CALENDAR)
        replay(state, [parts.publisher.entry(n) for n in range(2)])
        assert snapshot == state.to_bytes()
        assert len(parts.writer.recent) == 1

    made(recorder_settings, work)


def test_an_event_admitted_at_that_moment_is_durable_before_it_is_signed(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.writer.append(intent(1), 1)
        assert parts.volume.size == 0
        await tested.make()
        assert parts.volume.size == parts.publisher.head.size == 1

    made(recorder_settings, work)


def test_a_log_that_did_not_grow_is_not_signed_again(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1))
        await tested.make()
        note = parts.publisher.note
        monkeypatch.setattr(Publisher, "publish", None)
        await tested.make()
        assert parts.publisher.note is note

    made(recorder_settings, work)


def test_the_log_grows_while_a_checkpoint_is_written(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, released = threading.Event(), threading.Event()
    publish = Publisher.publish

    def slow(self: Publisher, leaves: list[bytes], hashes: list[bytes]) -> bytes:
        begun.set()
        assert released.wait(10)
        return publish(self, leaves, hashes)

    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1), intent(2))
        monkeypatch.setattr(Publisher, "publish", slow)
        making = asyncio.create_task(tested.make())
        assert await asyncio.to_thread(begun.wait, 10)
        assert parts.append(completion(1), intent(3)) == [2, 3]
        released.set()
        await making
        assert parts.publisher.head.size == 2
        assert (parts.writer.first, len(parts.writer.recent)) == (2, 2)
        await tested.make()
        assert parts.publisher.head.root == parts.writer.frontier.root()
        proof = parts.publisher.prove(3)
        assert leaf_hash(parts.publisher.entry(3)) == parts.writer.append(intent(3), 1)[1]
        assert proof.index == 3

    made(recorder_settings, work)


def test_a_proof_asks_for_a_checkpoint_and_many_share_one(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PAUSE", 0.01)
    sizes: list[int] = []
    publish = Publisher.publish

    def counted(self: Publisher, leaves: list[bytes], hashes: list[bytes]) -> bytes:
        sizes.append(len(leaves))
        return publish(self, leaves, hashes)

    async def work(tested: Checkpoints, parts: Parts) -> None:
        monkeypatch.setattr(Publisher, "publish", counted)
        running = asyncio.create_task(tested.make_forever())
        parts.append(*[intent(n) for n in range(5)])
        await asyncio.gather(*[tested.cover(n) for n in range(5)])
        assert sizes == [5]
        parts.append(intent(9))
        await tested.cover(5)
        await tested.cover(0)
        assert sizes == [5, 1]
        tested.end()
        await running

    made(recorder_settings, work)


def test_a_record_that_is_not_there_is_not_waited_for(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1))
        with pytest.raises(VerificationError, match="no record 1"):
            await tested.cover(1)

    made(recorder_settings, work)


def test_an_interval_alone_makes_a_checkpoint(recorder_settings: RecorderSettings) -> None:
    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1))
        running = asyncio.create_task(tested.make_forever())
        async with tested._done:
            await asyncio.wait_for(tested._done.wait(), 10)
        assert parts.publisher.head.size == 1
        assert tested.at > 0
        tested.end()
        await running

    made(recorder_settings, work, interval=0.01)


def test_very_many_leaves_do_not_wait_for_the_interval(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LEAVES_MAX", 3)

    async def work(tested: Checkpoints, parts: Parts) -> None:
        running = asyncio.create_task(tested.make_forever())
        await asyncio.sleep(0)
        parts.append(*[intent(n) for n in range(4)])
        tested.look()
        await asyncio.wait_for(_grown(tested, parts, 4), 10)
        tested.end()
        await running

    made(recorder_settings, work)


async def _grown(tested: Checkpoints, parts: Parts, size: int) -> None:
    async with tested._done:
        await tested._done.wait_for(lambda: parts.publisher.head.size >= size)


def test_a_failure_to_publish_ends_the_making(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise RollbackError("another recorder signed")

    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1))
        monkeypatch.setattr(Publisher, "publish", fail)
        with pytest.raises(RollbackError):
            await tested.make_forever()

    made(recorder_settings, work, interval=0.01)


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["publish", "write_snapshot"])
def test_without_room_records_wait_for_their_signature(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1), intent(2))
        with monkeypatch.context() as full:
            full.setattr(Publisher if where == "publish" else Volume, where, no_room)
            await tested.make()
        assert tested.failing_since is not None
        parts.append(completion(1))
        await tested.make()
        assert tested.failing_since is None
        assert parts.publisher.head.size == 3
        assert parts.publisher.head.root == parts.writer.frontier.root()
        assert (parts.writer.first, parts.writer.recent) == (3, [])

    made(recorder_settings, work)


def test_without_room_for_too_long_the_recorder_ends(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1))
        monkeypatch.setattr(Publisher, "publish", no_room)
        await tested.make()
        monkeypatch.setattr(checkpoints, "UNSIGNED_MAX", 0)
        with pytest.raises(OSError, match="No space"):
            await tested.make()

    made(recorder_settings, work)


def test_any_other_failure_ends_the_recorder_at_once(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def work(tested: Checkpoints, parts: Parts) -> None:
        parts.append(intent(1))
        monkeypatch.setattr(Publisher, "publish", broken)
        with pytest.raises(OSError, match="Input/output"):
            await tested.make()

    made(recorder_settings, work)

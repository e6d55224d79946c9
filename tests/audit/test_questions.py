import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appliance.audit import questions, volume
from appliance.audit.checkpoints import Checkpoints
from appliance.audit.event import BudgetChange, Kind, fact
from appliance.audit.frame import Key, Leaves, Prove, Proved, Read, State, Status, Unseal
from appliance.audit.key import Signer
from appliance.audit.precedence import Level
from appliance.audit.proof import Proof
from appliance.audit.questions import Questions
from appliance.errors import VerificationError
from appliance.settings import RecorderSettings
from tests.audit.parts import NOON, Parts, opened
from tests.recording import ORIGIN, SEED, completion, intent

Work = Callable[[Questions, Parts, Checkpoints], Awaitable[None]]


def asked(settings: RecorderSettings, work: Work) -> None:
    async def run(parts: Parts) -> None:
        made = Checkpoints(parts.writer, parts.publisher, 0.01)
        await work(Questions(parts.writer, parts.publisher, made), parts, made)

    with opened(settings) as parts:
        asyncio.run(run(parts))


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "clocks", lambda: (NOON, 0))


def test_status_tells_the_log_and_the_budgets_asked_for(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Questions, parts: Parts, made: Checkpoints) -> None:
        change = BudgetChange(
            actor="rssi",
            budget="site",
            hard=True,
            id="change-0000000001",
            limit=50,
            period="day",
        )
        stop = fact(Kind.SERVICE_STOP, "rssi", "stop-00000000001")
        approve = fact(Kind.SERVICE_APPROVE, "ada", "approve-00000001")
        parts.append(change, intent(1), intent(2), completion(1))
        await made.make()
        parts.append(stop, approve)
        found = await tested.answer(Status(1, ["site", "user:new"]))
        assert isinstance(found, State)
        assert (found.size, found.checkpoint_size) == (6, 4)
        assert found.root == parts.writer.frontier.root()
        assert found.checkpoint_at == made.at
        assert (found.stopped, found.stopped_by, found.approvals) == (True, "rssi", ["ada"])
        assert (found.open, found.degraded) == (1, "")
        site, new = found.budgets["site"], found.budgets["user:new"]
        assert (site.used, site.reserved, site.limit, site.period, site.hard) == (
            7, 10, 50, "day", True,
        )  # fmt: skip
        assert (new.used, new.limit) == (0, None)
        everything = await tested.answer(Status(1, None))
        assert isinstance(everything, State)
        assert everything.budgets.keys() == {"site"}
        nothing = await tested.answer(Status(1))
        assert isinstance(nothing, State)
        assert nothing.budgets == {}

    asked(recorder_settings, work)


def test_status_never_tells_what_is_not_durable(recorder_settings: RecorderSettings) -> None:
    async def work(tested: Questions, parts: Parts, _: Checkpoints) -> None:
        parts.writer.append(intent(1), 1)
        found = await tested.answer(Status(1))
        assert isinstance(found, State)
        assert found.size == 1
        assert len(volume.read(recorder_settings.directory)) == 1

    asked(recorder_settings, work)


def test_every_level_of_the_disk_has_a_word(recorder_settings: RecorderSettings) -> None:
    async def work(tested: Questions, parts: Parts, made: Checkpoints) -> None:
        words = []
        for level in Level:
            parts.writer.level = level
            found = await tested.answer(Status(1))
            assert isinstance(found, State)
            words.append(found.degraded)
        assert words[0] == ""
        assert len(set(words)) == len(Level)
        made.failing_since = 1
        found = await tested.answer(Status(1))
        assert isinstance(found, State)
        assert found.degraded == "unsigned"

    asked(recorder_settings, work)


@pytest.mark.parametrize(
    ("start", "most", "indexes"),
    [
        pytest.param(0, 3, range(3), id="from the tiles"),
        pytest.param(298, 10, range(298, 308), id="from tiles and memory"),
        pytest.param(305, 100, range(305, 310), id="from memory, to the end"),
        pytest.param(-4, 100, range(306, 310), id="the newest"),
        pytest.param(-1000, 5, range(5), id="more than there are"),
        pytest.param(310, 5, range(0), id="past the end"),
        pytest.param(0, 0, range(0), id="none"),
        pytest.param(0, 10_000, range(256), id="at most a frame of them"),
    ],
)
def test_leaves_are_read_from_tiles_and_memory(
    recorder_settings: RecorderSettings, start: int, most: int, indexes: range
) -> None:
    async def work(tested: Questions, parts: Parts, made: Checkpoints) -> None:
        parts.append(*[intent(n) for n in range(300)])
        await made.make()
        parts.append(*[intent(n) for n in range(300, 310)])
        parts.writer.append(intent(310), 1)  # not durable
        found = await tested.answer(Read(most, 1, start))
        assert isinstance(found, Leaves)
        stored = volume.read(recorder_settings.directory)
        assert found.leaves == [stored[index] for index in indexes]
        assert not indexes or found.first == indexes[0]

    asked(recorder_settings, work)


def test_a_proof_is_that_of_the_leaf_under_the_key_of_the_log(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Questions, parts: Parts, made: Checkpoints) -> None:
        parts.append(*[intent(n) for n in range(5)])
        running = asyncio.create_task(made.make_forever())
        found = await tested.answer(Prove(3, 1))
        assert isinstance(found, Proved)
        head = Proof.parse(found.proof).verify(found.leaf, Signer(ORIGIN, SEED).verifier)
        assert head.size == 5
        assert found.leaf == volume.read(recorder_settings.directory)[3]
        made.end()
        await running

    asked(recorder_settings, work)


def test_a_sealed_key_is_given_back(recorder_settings: RecorderSettings) -> None:
    async def work(tested: Questions, parts: Parts, _: Checkpoints) -> None:
        parts.append(intent(1))
        parts.writer.append(completion(1, content="sealed"), 1, b"sealed")
        parts.writer.commit()
        assert await tested.answer(Unseal(1, 1)) == Key(b"sealed")

    asked(recorder_settings, work)


@pytest.mark.parametrize("question", [Prove(1, 1), Unseal(0, 1)], ids=["proof", "key"])
def test_what_the_log_has_not_is_refused(
    recorder_settings: RecorderSettings, question: Any
) -> None:
    async def work(tested: Questions, parts: Parts, _: Checkpoints) -> None:
        parts.append(intent(1))
        with pytest.raises(VerificationError):
            await tested.answer(question)

    asked(recorder_settings, work)

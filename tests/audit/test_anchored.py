"""What the recorder knows of anchors: checked when told, kept over a restart, in status."""

import asyncio
from typing import Any

import pytest

from appliance.audit import anchored
from appliance.audit.anchored import anchor_of, from_file, last_in, later, to_file
from appliance.audit.checkpoints import Checkpoints
from appliance.audit.event import FACTS, Fact, Kind, fact
from appliance.audit.frame import Anchored, Extend, Extended, State, Status
from appliance.audit.note import Note
from appliance.audit.questions import Questions
from appliance.audit.tree import verify_consistency
from appliance.errors import FormatError, VerificationError
from appliance.settings import RecorderSettings
from tests.audit import logs
from tests.audit.parts import Parts, opened
from tests.recording import intent

DIGEST = "A" * 43 + "="


def told(size: int = 1, at: int | str = 100, kind: str = "witness", **more: Any) -> Fact:
    data = {"size": size, "at": at, "kind": kind, "name": "rssi", "digest": DIGEST} | more
    made = FACTS[Kind.AUDIT_ANCHOR]
    return made(actor="feeder", id=f"anchor-{size:06d}-{at:06}", data=data)


def test_an_anchor_is_read_from_its_fact_and_nothing_else_is_one() -> None:
    assert anchor_of(told(3), 3) == Anchored(3, 100, "witness")
    assert anchor_of(fact(Kind.AUDIT_SEARCH, "ada", "search-000000001"), 3) is None
    assert anchor_of(intent(1), 3) is None


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(told(4), id="more than there are"),
        pytest.param(told(0), id="nothing"),
        pytest.param(told(kind="cloud"), id="unknown kind"),
        pytest.param(told(digest="AA=="), id="no digest"),
        pytest.param(told(at="now"), id="no time"),
        pytest.param(told(extra=1), id="a field too many"),
        pytest.param(fact(Kind.AUDIT_ANCHOR, "feeder", "anchor-000000001", size=1), id="bare"),
    ],
)
def test_what_is_no_anchor_is_refused(event: Fact) -> None:
    with pytest.raises(FormatError):
        anchor_of(event, 3)


def test_the_later_of_two_is_that_of_more_records_then_that_of_a_later_time() -> None:
    old, new = Anchored(3, 900, "paper"), Anchored(4, 100, "witness")
    assert later(old, new) == later(new, old) == new
    assert later(new, Anchored(4, 101, "file")) == Anchored(4, 101, "file")
    assert (later(None, old), later(old, None), later(None, None)) == (old, old, None)


def test_the_last_anchor_is_found_again_in_stored_leaves() -> None:
    stored = logs.leaves([intent(1), intent(2), told(1), told(2, 200), intent(3)])
    assert last_in(stored) == Anchored(2, 200, "witness")
    assert last_in(stored[:2]) is None


def test_a_file_that_is_damaged_or_of_another_log_says_nothing() -> None:
    one = Anchored(3, 900, "paper")
    assert from_file(to_file(one), 3) == one
    for data, size in ((to_file(one), 2), (b"", 3), (b"{}", 3), (b"\xff", 3)):
        assert from_file(data, size) is None


def asked(settings: RecorderSettings, work: Any) -> None:
    async def run(parts: Parts) -> None:
        made = Checkpoints(parts.writer, parts.publisher, 0.01)
        await work(Questions(parts.writer, parts.publisher, made), parts, made)

    with opened(settings) as parts:
        asyncio.run(run(parts))


async def anchored_in(tested: Questions) -> Anchored | None:
    state = await tested.answer(Status(1))
    assert isinstance(state, State)
    return state.anchored


@pytest.mark.parametrize("published", [True, False])
def test_status_tells_the_last_anchor_also_after_a_restart(
    recorder_settings: RecorderSettings, *, published: bool
) -> None:
    async def work(tested: Questions, parts: Parts, made: Checkpoints) -> None:
        assert await anchored_in(tested) is None
        parts.append(intent(1), intent(2), told(2, 200), told(1, 900))
        assert await anchored_in(tested) == Anchored(2, 200, "witness")
        if published:
            await made.make()

    async def again(tested: Questions, parts: Parts, _: Checkpoints) -> None:
        assert (parts.found.leaves == []) == published
        assert await anchored_in(tested) == Anchored(2, 200, "witness")

    asked(recorder_settings, work)
    assert (recorder_settings.directory / anchored.FILE).exists() == published
    asked(recorder_settings, again)


def test_an_anchor_of_records_that_are_not_there_is_not_admitted(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Questions, parts: Parts, _: Checkpoints) -> None:
        parts.append(intent(1))
        with pytest.raises(FormatError):
            parts.writer.append(told(2), 1000)
        assert parts.writer.waiting == 0
        assert await anchored_in(tested) is None

    asked(recorder_settings, work)


def test_the_signed_checkpoint_comes_with_the_proof_that_it_extends_an_earlier_one(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Questions, parts: Parts, made: Checkpoints) -> None:
        with pytest.raises(VerificationError, match="published"):
            await tested.answer(Extend(0, 1))
        parts.append(*(intent(n) for n in range(3)))
        await made.make()
        first = parts.publisher.head
        parts.append(*(intent(n) for n in range(3, 9)))
        await made.make()
        found = await tested.answer(Extend(3, 1))
        assert isinstance(found, Extended)
        assert Note.parse(found.note).text == parts.publisher.head.text()
        now = parts.publisher.head
        verify_consistency((3, first.root), (9, now.root), found.path)
        nothing = await tested.answer(Extend(0, 1))
        assert isinstance(nothing, Extended)
        assert nothing.path == []
        with pytest.raises(VerificationError, match="not 10"):
            await tested.answer(Extend(10, 1))

    asked(recorder_settings, work)

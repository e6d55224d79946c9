"""Order and memory of the reader. Real people and parts: tests/gateway/test_consent.py."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.audit.client import RecorderError, RefusedError
from appliance.audit.content import ContentKey
from appliance.audit.event import Event, Kind, Leaf, event_type, fact
from appliance.audit.frame import Answer as Place
from appliance.audit.reading import reader as tested
from appliance.audit.reading.approval import FRESH
from appliance.audit.reading.frame import Answer, Note, Open, Pending
from appliance.audit.reading.reader import Reader
from appliance.audit.reading.store import SealedRow
from appliance.errors import VerificationError
from tests.recording import completion

GATEWAY, RECORD, NOW = 882, 0, 1_800_000_000.0
KEY = ContentKey(bytes(32))
ROW = SealedRow(KEY.encrypt("question", "Qui ?"), KEY.encrypt("answer", "Moi."), 2)


class Log:
    """A log in memory that tells what happened when."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.told: list[str] = []
        self.away = self.erased = False
        self.add(completion(1, content="sealed"))

    def add(self, event: Event, uid: int = GATEWAY) -> int:
        index = len(self.leaves)
        self.leaves.append(Leaf(int(NOW * 1_000_000), "boot", event, index, 0, uid))
        return index

    def approve(self, role: str, actor: str) -> int:
        event = fact(
            Kind.CONTENT_APPROVE, actor, f"approval-{actor:->12}{len(self.leaves)}",
            record=RECORD, role=role, reason="Plainte 12",
        )  # fmt: skip
        return self.add(event)

    def append(self, event: Event) -> "asyncio.Future[Place]":
        future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        if self.away:
            future.set_exception(RecorderError("away"))
        else:
            self.told.append(event_type(event))
            future.set_result(Place(0, self.add(event, 893)))
        return future

    async def read(self, start: int, limit: int) -> list[bytes]:
        return [leaf.text() for leaf in self.leaves[start : start + limit]]

    async def sealed(self, index: int) -> bytes:
        await asyncio.sleep(0)  # others go on meanwhile
        if self.erased:
            raise RefusedError("CM-JRN-04", "destroyed")
        return bytes([index])


class Rows:
    row: SealedRow | None = ROW

    async def find(self, record: int) -> SealedRow | None:
        return self.row if record == RECORD else None


class Stage:
    """A reader with its log."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.rows = folder, Log(), Rows()
        self.now = NOW
        self.open_key: Callable[[bytes], ContentKey] = self._opened
        self.start()

    def _opened(self, sealed: bytes) -> ContentKey:
        assert sealed == bytes([RECORD])
        self.log.told.append("opened")
        return KEY

    def start(self) -> None:
        def opener(sealed: bytes) -> ContentKey:
            return self.open_key(sealed)

        parts = (self.log, self.rows, opener)
        self.reader = Reader(parts, {GATEWAY}, self.folder, lambda: self.now)

    async def ask(self, question: Any) -> Answer:
        return await self.reader.answer(question)

    async def agree(self) -> None:
        for role, actor in (("auditeur", "ines"), ("rssi", "rene")):
            assert not (await self.ask(Note(self.log.approve(role, actor)))).error


def run(tmp_path: Path, work: Callable[[Stage], Any]) -> None:
    asyncio.run(work(Stage(tmp_path)))


def test_the_record_is_durable_before_a_key_is_opened(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.agree()
        answer = await stage.ask(Open(RECORD))
        assert answer.opened
        assert (answer.opened.question, answer.opened.answer) == ("Qui ?", "Moi.")
        assert (answer.opened.label, answer.opened.read) == (2, 3)
        assert stage.log.told == ["casemate.content.read.v1", "opened"]

    run(tmp_path, work)


def test_without_a_durable_record_nothing_is_opened(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.agree()
        stage.log.away = True
        assert (await stage.ask(Open(RECORD))).error == "CM-JRN-01"
        assert stage.log.told == []
        stage.log.away = False
        assert (await stage.ask(Open(RECORD))).error == "CM-JRN-51"

    run(tmp_path, work)


def test_approvals_are_used_up_on_the_disk_before_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(stage: Stage) -> None:
        def full(*_: object) -> None:
            raise OSError("disk full")

        await stage.agree()
        monkeypatch.setattr(tested, "write_whole", full)
        with pytest.raises(OSError, match="disk full"):
            await stage.ask(Open(RECORD))
        assert stage.log.told == []

    run(tmp_path, work)


def test_two_questions_at_once_get_one_answer(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.agree()
        answers = await asyncio.gather(*[stage.ask(Open(RECORD)) for _ in range(4)])
        assert sum(answer.opened is not None for answer in answers) == 1
        assert stage.log.told.count("opened") == 1

    run(tmp_path, work)


def test_a_restart_forgets_what_waits_and_remembers_what_was_used(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.agree()
        await stage.ask(Open(RECORD))
        stage.start()
        assert (await stage.ask(Pending())).pending == []
        assert [(await stage.ask(Note(n))).error for n in (1, 2)] == ["CM-JRN-52"] * 2
        stage.now += 4 * FRESH
        stage.log.leaves[1:] = []
        await _later(stage)
        kept = json.loads((stage.folder / "used.json").read_text())
        assert len(kept) == 2

    async def _later(stage: Stage) -> None:
        at = int(stage.now * 1_000_000)
        stage.log.leaves += [
            Leaf(at, "b", leaf.event, n, 0, 893)
            for n, leaf in enumerate(stage.log.leaves * 5, 1)
        ]
        for role, actor in (("auditeur", "ines"), ("rssi", "rene")):
            index = stage.log.approve(role, actor)
            stage.log.leaves[index] = Leaf(
                at, "b", stage.log.leaves[index].event, index, 0, GATEWAY
            )
            await stage.ask(Note(index))
        assert (await stage.ask(Open(RECORD))).opened

    run(tmp_path, work)


def test_a_damaged_memory_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "used.json").write_text("{")
    with pytest.raises(VerificationError):
        Stage(tmp_path)


def test_what_does_not_decrypt_is_refused_after_the_record(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.agree()
        stage.rows.row = SealedRow(ROW.answer, ROW.question, 2)
        assert (await stage.ask(Open(RECORD))).error == "CM-JRN-55"
        assert stage.log.told[0] == "casemate.content.read.v1"

    run(tmp_path, work)


def test_an_erased_content_uses_no_approval_up(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.agree()
        stage.log.erased = True
        assert (await stage.ask(Open(RECORD))).error == "CM-JRN-04"
        stage.rows.row = None
        assert (await stage.ask(Open(RECORD))).error == "CM-JRN-55"
        assert len((await stage.ask(Pending())).pending) == 2
        assert "casemate.content.read.v1" not in stage.log.told

    run(tmp_path, work)


def test_old_approvals_are_no_longer_shown(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.agree()
        stage.now += FRESH + 1
        assert (await stage.ask(Pending())).pending == []
        assert (await stage.ask(Open(RECORD))).error == "CM-JRN-51"

    run(tmp_path, work)


def test_a_flood_of_refusals_is_ten_records_a_minute(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        for _ in range(50):
            await stage.ask(Open(RECORD))
        assert len(stage.log.told) == 10
        stage.now += 61
        await stage.ask(Open(RECORD))
        assert len(stage.log.told) == 11

    run(tmp_path, work)


def test_a_flood_of_approvals_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(stage: Stage) -> None:
        monkeypatch.setattr(tested, "PENDING_MAX", 2)
        codes = [
            (await stage.ask(Note(stage.log.approve("rssi", f"r{n}")))).error for n in "123"
        ]
        assert codes == ["", "", "CM-JRN-52"]

    run(tmp_path, work)

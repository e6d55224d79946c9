"""Lines of an export made apart are those made here; a damaged log fails with its error."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.audit import export as exporting
from appliance.audit import lining
from appliance.audit.archive import TamperedError
from appliance.audit.contents import Form, Order
from appliance.audit.export import export
from appliance.audit.lining import Lined, Task, line_up, lined
from tests.audit import logs
from tests.audit.exports import log_of

LEAVES = logs.leaves(logs.exchanges(350))
FORMS = frozenset({Form.JSONL, Form.CSV, Form.OCSF})


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    log = log_of(tmp_path, LEAVES)
    whole = Task(log, tmp_path / "work", (logs.ORIGIN, len(LEAVES)), (3, 690), FORMS, range(3))
    return [replace(whole, bundles=range(n, n + 1)) for n in whole.bundles]


def test_a_task_gives_the_lines_of_its_records_in_order(tasks: list[Task]) -> None:
    made = [line_up(task) for task in tasks]
    assert [one.lines[Form.JSONL].count(b"\n") for one in made] == [253, 256, 179]
    assert all(one.lines[form].endswith(b"\n") for one in made for form in FORMS)
    assert sum(sum(one.tally.types.values()) for one in made) == 688
    assert (tasks[0].work / "tile/entries/002.p/189").exists()


def test_processes_of_their_own_give_the_same(tasks: list[Task]) -> None:
    assert list(lined(tasks, apart=True)) == list(lined(tasks, apart=False))


def test_what_is_damaged_fails_here_with_its_own_error(tasks: list[Task]) -> None:
    (tasks[0].log / "tile/0/001").write_bytes(bytes(8192))
    for apart in (False, True):
        with pytest.raises(TamperedError, match="record 256"):
            list(lined(tasks, apart=apart))


def test_a_process_that_was_ended_from_outside_loses_nothing(
    tasks: list[Task],
) -> None:
    broken: Future[Lined | None] = Future()
    broken.set_exception(BrokenProcessPool())
    assert lining._taken(tasks[0], broken) == line_up(tasks[0])


def test_where_no_process_can_be_started_the_lines_are_made_here(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no shared memory")

    monkeypatch.setattr(lining, "ProcessPoolExecutor", refuse)
    assert len(list(lined(tasks, apart=True))) == 3


def test_an_export_of_many_records_is_the_same_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(tmp_path, LEAVES)
    order = Order(3, 690, formats=FORMS)
    here = export(log, tmp_path / "here", order)
    monkeypatch.setattr(exporting, "MANY", 1)
    monkeypatch.setattr(exporting, "ROW", 1)
    apart = export(log, tmp_path / "apart", order)
    assert apart.sums == here.sums
    assert apart.tally == here.tally

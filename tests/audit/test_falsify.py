from pathlib import Path

import pytest

from appliance.audit.falsify import FalsifyError, Kind, falsify
from tests.audit import logs

STORED = logs.leaves([*logs.exchanges(20), logs.intent(20)])
LAST_ANSWER = len(STORED) - 2


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return logs.write(tmp_path, STORED)


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes().rstrip(b"\0")
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("kind", Kind)
def test_the_log_is_only_read_and_the_copy_is_another_one(log: Path, kind: Kind) -> None:
    before, copy = files(log), log.with_name("copy")
    done = falsify(log, copy, kind)
    assert files(log) == before
    assert (done.kind, done.record, done.before) == (kind, LAST_ANSWER, STORED[LAST_ANSWER])
    assert files(copy) != {name: before.get(name) for name in files(copy)}


@pytest.mark.parametrize("kind", Kind)
def test_the_copy_holds_no_key_and_no_content(log: Path, kind: Kind) -> None:
    falsify(log, log.with_name("copy"), kind)
    assert not {"signing.key", "snapshot"} & {p.name for p in log.with_name("copy").iterdir()}
    assert not (log.with_name("copy") / "sealed").exists()
    assert logs.SEED not in b"".join(files(log.with_name("copy")).values())


def test_one_figure_of_one_record_is_changed(log: Path) -> None:
    done = falsify(log, log.with_name("copy"), Kind.RECORD)
    different = [at for at, pair in enumerate(zip(done.before, done.after, strict=True))
                 if pair[0] != pair[1]]  # fmt: skip
    assert len(different) == 1
    assert bytes([done.before[different[0]], done.after[different[0]]]).isdigit()
    journal = (log.with_name("copy") / "journal" / ("0" * 16)).read_bytes()
    assert done.after in journal
    assert done.before not in journal


def test_what_is_shown_of_it_is_where_the_two_differ(log: Path) -> None:
    old, new = falsify(log, log.with_name("copy"), Kind.RECORD).excerpts()
    assert '"completion_tokens":60,' in old
    assert '"completion_tokens":61,' in new
    assert len(old) == 60
    assert falsify(log, log.with_name("cut"), Kind.CUT).excerpts()[1] == ""


def test_the_record_can_be_chosen(log: Path) -> None:
    assert falsify(log, log.with_name("copy"), Kind.RECORD, 5).record == 5


@pytest.mark.parametrize("record", [-1, 0, len(STORED)])
def test_a_record_that_is_not_signed_cannot_be_chosen(log: Path, record: int) -> None:
    with pytest.raises(FalsifyError, match="not one of"):
        falsify(log, log.with_name("copy"), Kind.RECORD, record)
    assert not log.with_name("copy").exists()


def test_a_copy_is_never_overwritten(log: Path) -> None:
    falsify(log, log.with_name("copy"), Kind.RECORD)
    with pytest.raises(FalsifyError):
        falsify(log, log.with_name("copy"), Kind.RECORD)
    with pytest.raises(FalsifyError):
        falsify(log, log, Kind.RECORD)


def test_a_log_that_was_never_signed_cannot_be_falsified(tmp_path: Path) -> None:
    log = logs.write(tmp_path, STORED, 0)
    with pytest.raises(FalsifyError, match="no signed checkpoint"):
        falsify(log, tmp_path / "copy", Kind.RECORD)

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.audit import volume
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.epoch import EpochError, Succession
from appliance.audit.event import BudgetChange, Fact, Kind, fact
from appliance.audit.key import Signer, parse_keys
from appliance.audit.lineage import former
from appliance.audit.note import sign
from appliance.audit.publisher import CHECKPOINT, LAST_SIGNED
from appliance.audit.segments import VolumeError
from appliance.audit.succession import Begun, approve, propose
from appliance.audit.verify import Trust, verify
from appliance.errors import VerificationError
from appliance.settings import RecorderSettings
from tests.audit.parts import leaves_of, opened
from tests.recording import (
    ORIGIN,
    SEED,
    RawClient,
    completion,
    intent,
    new_log,
    refused_start,
    running,
)

LIMIT = BudgetChange(
    actor="site", budget="site", hard=True, id="b" * 20, limit=1000, period="month"
)
DEFAULT = BudgetChange(
    actor="site", budget="user:*", hard=False, id="c" * 20, limit=50, period="day"
)
SIGNER = Signer(ORIGIN, SEED)
STOP = fact(Kind.SERVICE_STOP, "rssi", "s" * 20)


@pytest.fixture
def recorder_settings(tmp_path: Path) -> Iterator[RecorderSettings]:
    """Small segments: these logs are copied often."""
    folder = tmp_path / "recorder"
    folder.mkdir()
    settings = new_log(folder, segment_bytes=64 << 10)
    yield settings
    shutil.rmtree(settings.socket.parent, ignore_errors=True)


@pytest.fixture
def behind(recorder_settings: RecorderSettings, tmp_path: Path) -> RecorderSettings:
    """Return the settings of a log of five records; seven were signed."""
    with opened(recorder_settings) as parts:
        parts.append(LIMIT, DEFAULT, intent(1))
        parts.publish()
        parts.append(completion(1), STOP)
    copy = tmp_path / "backup"
    shutil.copytree(recorder_settings.directory, copy)
    with opened(recorder_settings) as parts:
        parts.append(*(fact(Kind.AUTH_LOGIN, "ada", f"{n}" * 20) for n in (1, 2)))
        parts.publish()
    shutil.copytree(recorder_settings.directory, tmp_path / "ahead")
    shutil.rmtree(recorder_settings.directory)
    shutil.copytree(copy, recorder_settings.directory)
    return recorder_settings


def begin(settings: RecorderSettings) -> Begun:
    stated = propose(settings, "camille", "baie restaurée", ())
    return approve(settings, "dominique", stated.code())


def check_begun(settings: RecorderSettings, begun: Begun) -> None:
    """Check the new log and the old one, and that a recorder goes on with the new one."""
    assert (begun.origin, begun.lost) == (f"{ORIGIN}/e2", (5, 7))
    with running(settings), RawClient(settings.socket) as client:
        assert client.append(intent(9))["error"] == "CM-MOD-05"  # stopped, as it was
        assert client.append(fact(Kind.AUTH_LOGIN, "ada", "9" * 20))["index"] == 5
        client.ask("prove", index=5)
    first, *carried, started = leaves_of(settings)[:5]
    assert isinstance(first.event, Fact)
    assert first.event.kind is Kind.AUDIT_EPOCH
    events = [leaf.event for leaf in carried]
    changes = [event for event in events if isinstance(event, BudgetChange)]
    limits = [(e.budget, e.limit, e.period, e.hard) for e in changes]
    assert limits == [("site", 1000, "month", True), ("user:*", 50, "day", False)]
    assert getattr(started.event, "kind", None) is Kind.AUDIT_START
    keys = parse_keys(begun.keys)
    assert len(keys) == 2
    report = verify(settings.directory, Trust(keys))
    assert report.head.origin == f"{ORIGIN}/e2"
    assert report.stopped_by == "rssi"
    old = former(settings.directory, 1)
    assert len(volume.read(old)) == 5
    assert not {"signing.key", "signing-p256.key"} & {path.name for path in old.iterdir()}
    modes = {path.stat().st_mode & 0o777 for path in [old, *old.rglob("*")]}
    assert modes == {0o500, 0o400}
    text = (settings.last_signed / f"{LAST_SIGNED}.e1").read_text()
    assert Checkpoint.parse(text).size == 7


def test_two_people_begin_a_new_log_and_the_old_one_is_kept(behind: RecorderSettings) -> None:
    assert "CM-JRN" not in refused_start(behind)  # the code is the command line's to print
    begun = begin(behind)
    check_begun(behind, begun)
    stored = volume.read(behind.directory)[0]
    told = Succession.parse(stored)
    assert (told.epoch, told.previous, told.kept) == (2, ORIGIN, 5)
    assert told.people == ("camille", "dominique")
    assert told.local is not None
    assert Checkpoint.parse(told.local.text).size == 3
    assert Checkpoint.parse(told.known.text).size == 7
    assert told.known_from == "last-signed"


def test_a_log_that_is_whole_goes_on(recorder_settings: RecorderSettings) -> None:
    with opened(recorder_settings) as parts:
        parts.append(intent(1))
        parts.publish()
    note = (recorder_settings.directory / CHECKPOINT).read_bytes()
    for brought in ((), [("1.note", note)]):
        with pytest.raises(EpochError, match="whole"):
            propose(recorder_settings, "camille", "", brought)
    with running(recorder_settings):
        pass


def test_what_people_bring_says_that_a_log_lost_records(
    behind: RecorderSettings, tmp_path: Path
) -> None:
    note = (behind.directory / CHECKPOINT).read_bytes()
    signed = note.split(b"\n\n")[0] + b"\n"
    (behind.last_signed / LAST_SIGNED).write_bytes(signed)  # restored with the log
    ahead = (tmp_path / "ahead" / CHECKPOINT).read_bytes()
    with opened(behind) as parts:
        parts.append(*(fact(Kind.AUTH_LOGIN, "bob", f"{n}" * 20) for n in (7, 8, 9)))
        parts.publish()
    brought = [("/media/rssi/3.note", note), ("/media/rssi/7.note", ahead)]
    stated = propose(behind, "camille", "", brought)
    assert (stated.kept, stated.known_from, stated.agreed) == (8, "/media/rssi/7.note", 3)
    begun = approve(behind, "dominique", stated.code())
    assert begun.lost == (3, 7)  # which of them are here, nobody can tell
    told = Succession.parse(volume.read(behind.directory)[0])
    told.known.verify(SIGNER.verifier)


def test_a_note_of_another_log_says_nothing(behind: RecorderSettings) -> None:
    foreign = sign(Checkpoint(ORIGIN, 9, bytes(32)).text(), Signer(ORIGIN, bytes(32)))
    with pytest.raises(VerificationError):
        propose(behind, "camille", "", [("9.note", foreign.to_bytes())])


@pytest.mark.parametrize(
    ("person", "code", "why"),
    [("camille", None, "another person"), ("dominique", "0000-0000-0000-0000", "not the code")],
)
def test_one_person_alone_begins_nothing(
    behind: RecorderSettings, person: str, code: str | None, why: str
) -> None:
    with pytest.raises(EpochError, match="nobody proposed"):
        approve(behind, "dominique", "0000-0000-0000-0000")
    stated = propose(behind, "camille", "", ())
    with pytest.raises(EpochError, match=why):
        approve(behind, person, code or stated.code())
    assert "7 were signed" in refused_start(behind)


def test_what_was_stated_has_to_be_true_when_it_is_approved(
    behind: RecorderSettings,
) -> None:
    stated = propose(behind, "camille", "", ())
    known = behind.last_signed / "known"
    known.mkdir()
    more = Checkpoint(ORIGIN, 12, bytes(32))
    (known / "12.note").write_bytes(sign(more.text(), SIGNER).to_bytes())
    with pytest.raises(EpochError, match="more is known"):
        approve(behind, "dominique", stated.code())
    shutil.rmtree(known)
    with volume.locked(behind.directory, behind.segment_bytes) as log:
        log.append([b"{}"])
    with pytest.raises(EpochError, match="not the one of the statement"):
        approve(behind, "dominique", stated.code())


def test_while_the_recorder_runs_nothing_is_touched(
    recorder_settings: RecorderSettings,
) -> None:
    with running(recorder_settings):
        for act in (
            lambda: propose(recorder_settings, "camille", "", ()),
            lambda: approve(recorder_settings, "dominique", "x"),
        ):
            with pytest.raises(VolumeError, match="recorder"):
                act()


def test_a_damaged_journal_is_followed_by_a_log_that_says_so(
    recorder_settings: RecorderSettings,
) -> None:
    with opened(recorder_settings) as parts:
        for number in range(6):
            parts.append(intent(number))
        parts.publish()
    path = recorder_settings.directory / "journal" / "0000000000000000"
    data = bytearray(path.read_bytes())
    data[900] ^= 1
    path.write_bytes(data)
    begun = begin(recorder_settings)
    told = Succession.parse(volume.read(recorder_settings.directory)[0])
    assert told.damaged
    assert begun.lost == (6, 6)
    with running(recorder_settings):
        pass


def test_an_epoch_may_be_followed_by_another(behind: RecorderSettings, tmp_path: Path) -> None:
    begin(behind)
    shutil.copytree(behind.directory, tmp_path / "second")
    with running(behind), RawClient(behind.socket) as client:
        client.ask("prove", index=4)
    subtree = behind.directory
    for path in [*subtree.rglob("*")]:
        path.chmod(0o700)
    shutil.rmtree(subtree)
    shutil.copytree(tmp_path / "second", subtree)
    assert begin(behind).origin == f"{ORIGIN}/e3"
    assert former(subtree, 2).is_dir()
    assert former(subtree, 1).is_dir()
    with running(behind):
        pass


class PowerCut(BaseException):
    """Nothing after it ran."""


CUTS = [
    *(("rename", cut) for cut in range(1, 21)),
    *(("unlink", cut) for cut in (1, 2)),
    ("mkdir", 4), ("rmdir", 1), ("rmdir", 2), ("chmod", 1), ("chmod", 9),
]  # fmt: skip


@pytest.mark.parametrize(("call", "cut"), CUTS, ids=str)
def test_cut_short_at_any_step_the_command_run_again_ends_what_was_begun(
    behind: RecorderSettings, monkeypatch: pytest.MonkeyPatch, call: str, cut: int
) -> None:
    stated = propose(behind, "camille", "", ())
    with monkeypatch.context() as patched:
        patched.setattr(Path, call, _failing(getattr(Path, call), cut))
        with pytest.raises(PowerCut):
            approve(behind, "dominique", stated.code())
    cut_short = sorted(path.name for path in behind.directory.iterdir())
    if not (behind.directory / "signing.key").exists():
        with pytest.raises(VolumeError), opened(behind):
            pass  # half of one log and half of another: no recorder starts
    begun = approve(behind, "dominique", stated.code())
    assert (begun.origin, begun.lost) == (f"{ORIGIN}/e2", (5, 7)), cut_short
    assert len(volume.read_signer(behind.directory, begun.origin).verifiers) == 2
    assert Succession.parse(volume.read(behind.directory)[0]).kept == 5
    assert len(volume.read(former(behind.directory, 1))) == 5
    assert not (former(behind.directory, 1) / "signing.key").exists()
    with pytest.raises(EpochError, match="nobody proposed"):
        approve(behind, "dominique", stated.code())


def _failing(real: Callable[..., object], cut: int) -> Callable[..., object]:
    left = [cut]

    def fail(*args: object, **fields: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise PowerCut
        return real(*args, **fields)

    return fail

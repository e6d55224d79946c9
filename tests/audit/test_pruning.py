import base64
import dataclasses
import shutil
from pathlib import Path

import pytest

from appliance.audit import pruned, recorder, volume
from appliance.audit.archive import Fault, TamperedError
from appliance.audit.checkpoint import open_checkpoint
from appliance.audit.event import BudgetChange, Fact, Kind, Leaf
from appliance.audit.key import Signer
from appliance.audit.proof import Proof
from appliance.audit.pruning import PruneError, age_of, carry_out, finish, plan
from appliance.audit.publisher import CHECKPOINT
from appliance.audit.retention import before
from appliance.audit.segments import VolumeError
from appliance.audit.tree import Frontier
from appliance.audit.verify import Remark, Report, Trust, verify
from appliance.errors import VerificationError
from appliance.settings import RecorderSettings
from tests.audit.parts import NOON, Clock, opened
from tests.recording import ORIGIN, SEED, RawClient, completion, intent, new_log, running

KEYS = (Signer(ORIGIN, SEED).verifier,)
LIMIT = BudgetChange(
    actor="site", budget="site", hard=True, id="b" * 20, limit=10**6, period="total"
)
REQUESTS = 600  # of two records each
MONTH = 31 * 86_400  # seconds
NOW = NOON + 8 * MONTH * 1_000_000
HALF = NOON + 1_000_000 * REQUESTS  # between two records


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> RecorderSettings:
    """Make a log of 1201 records, of which the first half is eight months old."""
    settings = new_log(tmp_path_factory.mktemp("built"), segment_bytes=64 << 10)
    clock = Clock()
    with opened(settings, clock) as parts:
        parts.append(LIMIT)
        for number in range(REQUESTS):
            parts.writer.append(intent(number), 1000)
            sealed = b"key" if number % 2 else None
            ending = completion(number, content="sealed" if sealed else "none")
            parts.writer.append(ending, 1000, sealed)
            if number % 3 == 0:
                parts.writer.commit()
            if parts.volume.wants_next:
                parts.volume.prepare()
            clock.run(1)
            if number == REQUESTS // 2 - 1:
                parts.publish()
                clock.run(7.9 * MONTH)
        parts.publish()
    return settings


@pytest.fixture
def settings(
    built: RecorderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RecorderSettings:
    """Return a copy of that log; few ids are remembered."""
    monkeypatch.setattr("appliance.ledger.admission.IDS_KEPT", 300)
    monkeypatch.setattr("appliance.audit.pruning.IDS_KEPT", 300)
    made = new_log(tmp_path, segment_bytes=64 << 10)
    for name in ("directory", "last_signed"):
        shutil.rmtree(getattr(made, name))
        shutil.copytree(getattr(built, name), getattr(made, name))
    return made


def verified(settings: RecorderSettings, **trust: object) -> Report:
    return verify(settings.directory, Trust(KEYS, **trust))  # type: ignore[arg-type]


def prune(settings: RecorderSettings) -> int:
    return carry_out(settings, plan(settings, HALF, NOW), "camille", "durée écoulée")


def test_what_is_old_goes_and_what_proves_it_stays(settings: RecorderSettings) -> None:
    before_it = verified(settings)
    with opened(settings) as parts:
        old = parts.publisher.prove(100)
        entry = parts.publisher.entry(100)
    journal = sorted(path.name for path in (settings.directory / "journal").iterdir())
    assert prune(settings) == 127  # every other request of the first 255
    after = verified(settings)
    assert (after.pruned, after.open) == (512, 0)
    assert {one.remark for one in after.findings} == {Remark.CLOCK}  # of these tests
    assert after.budgets == before_it.budgets
    assert after.records == before_it.records + 1
    old.verify(entry, *KEYS)
    left = sorted(path.name for path in (settings.directory / "journal").iterdir())
    assert len(left) < len(journal)
    entries = {path.name for path in (settings.directory / "tile/entries").iterdir()}
    assert not {"000", "001"} & entries
    assert {"000", "001"} <= {path.name for path in (settings.directory / "tile/0").iterdir()}
    assert b"request-0000000000000010" not in b"".join(
        path.read_bytes() for path in settings.directory.rglob("*") if path.is_file()
    )


def test_the_record_of_a_pruning_says_who_why_and_how_far(settings: RecorderSettings) -> None:
    prune(settings)
    event = Leaf.parse(volume.tail(settings.directory, 1201)[-1]).event
    assert isinstance(event, Fact)
    assert event.kind is Kind.AUDIT_PRUNE
    said = {key: event.data[key] for key in ("first", "end", "by", "basis", "cutoff")}
    assert said == {
        "first": 0, "end": 512, "by": "camille", "basis": "durée écoulée", "cutoff": HALF,
    }  # fmt: skip


def test_new_proofs_of_what_is_left_and_no_record_that_is_gone(
    settings: RecorderSettings,
) -> None:
    prune(settings)
    with running(settings), RawClient(settings.socket) as client:
        body = client.ask("prove", index=600)["body"]
        leaf = base64.b64decode(body["leaf"])
        Proof.parse(base64.b64decode(body["proof"])).verify(leaf, *KEYS)
        for index in (0, 511):
            assert "was pruned" in client.ask("prove", index=index)["detail"]
        read = client.ask("read", **{"from": 0, "max": 5})["body"]
        assert read["first"] == 512
        assert Leaf.parse(base64.b64decode(read["leaves"][0])).index == 512
        assert client.append(intent(9_999))["index"] > 1201


@pytest.mark.parametrize("gone", [False, True], ids=["snapshot", "no snapshot"])
def test_a_pruned_log_is_recovered(settings: RecorderSettings, *, gone: bool) -> None:
    with opened(settings) as parts:
        budgets = parts.found.admission.budgets
    prune(settings)
    if gone:
        (settings.directory / "snapshot").unlink()
    with opened(settings) as parts:
        assert parts.found.admission.budgets == budgets
        assert parts.append(intent(7_777)) == [1203]
    assert verified(settings).records == 1204


def test_a_log_is_pruned_again_and_again(settings: RecorderSettings) -> None:
    prune(settings)
    late = NOW + 9 * MONTH * 1_000_000
    wanted = plan(settings, before(late, 6), late)
    assert (wanted.first, wanted.end) == (512, 768)
    carry_out(settings, wanted, "camille", "encore")
    assert verified(settings).pruned == wanted.end


def test_nothing_below_the_floor_goes_whoever_asks(settings: RecorderSettings) -> None:
    floor = before(NOW, 6)
    with pytest.raises(PruneError, match="last 6 months"):
        plan(settings, floor + 1, NOW)
    assert plan(settings, floor, NOW).end == 512
    longer = settings.model_copy(update={"log_floor_months": 12})
    with pytest.raises(PruneError, match="last 12 months"):
        plan(longer, HALF, NOW)


def test_what_is_kept_beyond_the_ceiling_is_told(settings: RecorderSettings) -> None:
    assert not age_of(settings, NOW).is_over
    short = settings.model_copy(update={"log_ceiling_months": 7})
    assert age_of(short, NOW).is_over
    prune(settings)
    age = age_of(short, NOW)
    assert (age.first, age.is_over) == (512, False)


def test_a_log_whose_age_cannot_be_read_is_served(settings: RecorderSettings) -> None:
    (settings.directory / "tile/entries/000").unlink()
    with running(settings):
        pass


@pytest.mark.parametrize(("months", "said"), [(60, 0), (7, 1)])
def test_the_recorder_warns_of_it_at_its_start(
    settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, months: int, said: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(recorder, "now", lambda: NOW)
    monkeypatch.setattr("uvloop.run", lambda of: of.close())
    recorder.run(settings.model_copy(update={"log_ceiling_months": months}))
    assert len([one for one in caplog.messages if "longer than they may be" in one]) == said


def test_nothing_is_pruned_twice_or_when_nothing_is_old(settings: RecorderSettings) -> None:
    with pytest.raises(PruneError, match="nothing"):
        plan(settings, NOON - 1, NOW)
    wanted = plan(settings, HALF, NOW)
    carry_out(settings, wanted, "camille", "x")
    with pytest.raises(PruneError, match="meanwhile"):
        carry_out(settings, wanted, "camille", "x")


def test_while_the_recorder_runs_it_is_planned_and_not_carried_out(
    settings: RecorderSettings,
) -> None:
    with running(settings):
        wanted = plan(settings, HALF, NOW)
        with pytest.raises(VolumeError, match="another recorder"):
            carry_out(settings, wanted, "camille", "x")
    assert pruned.minimum(settings.directory) == 0


class PowerCut(BaseException):
    """Nothing after it ran."""


@pytest.mark.parametrize("call", [1, 2, 3, 5])
def test_a_pruning_that_was_cut_short_is_ended(
    settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    wanted = plan(settings, HALF, NOW)
    left, real = [call], Path.unlink

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise PowerCut
        real(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        with pytest.raises(PowerCut):
            carry_out(settings, wanted, "camille", "x")
    assert verified(settings).pruned == 512  # whole at each step
    finish(settings)
    entries = {path.name for path in (settings.directory / "tile/entries").iterdir()}
    assert not {"000", "001"} & entries
    assert verified(settings).pruned == 512


def _state_changed(settings: RecorderSettings) -> None:
    path = settings.directory / pruned.name_of(512)
    path.write_bytes(path.read_bytes().replace(b"1000000", b"9000000"))


def _state_away(settings: RecorderSettings) -> None:
    (settings.directory / pruned.name_of(512)).unlink()


def _more_taken(settings: RecorderSettings) -> None:
    """Take more away than the record says, and put the state beside it."""
    (settings.directory / "tile/entries/002").unlink()
    path = settings.directory / pruned.name_of(512)
    path.rename(path.with_name("768.state"))


def _bundle_away(settings: RecorderSettings) -> None:
    (settings.directory / "tile/entries/002").unlink()


def _hash_changed(settings: RecorderSettings) -> None:
    path = settings.directory / "tile/0/000"
    path.write_bytes(bytes(32) + path.read_bytes()[32:])


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_state_changed, Fault.ADMISSION), (_state_away, Fault.LEAF),
        (_more_taken, Fault.ADMISSION), (_bundle_away, Fault.LEAF),
        (_hash_changed, Fault.TILE),
    ],
    ids=lambda of: getattr(of, "__name__", str(of)),
)  # fmt: skip
def test_records_that_are_missing_without_a_record_of_it_are_a_fault(
    settings: RecorderSettings, spoil: object, fault: Fault
) -> None:
    prune(settings)
    assert callable(spoil)
    spoil(settings)
    with pytest.raises(TamperedError) as caught:
        verified(settings)
    assert caught.value.fault in {fault, Fault.ROOT, Fault.JOURNAL}


def test_what_was_kept_elsewhere_is_compared_with_the_hashes_too(
    settings: RecorderSettings,
) -> None:
    with opened(settings) as parts:
        entry = parts.publisher.entry(100)
    note = (settings.directory / CHECKPOINT).read_bytes()
    head = open_checkpoint(note, *KEYS)
    small = dataclasses.replace(head, size=601, root=_root(settings, 601))
    prune(settings)
    assert verified(settings, earlier=[small, head], records={100: entry}).pruned == 512
    for earlier in (dataclasses.replace(small, size=300), dataclasses.replace(small, size=512)):
        with pytest.raises(TamperedError) as caught:
            verified(settings, earlier=[earlier])
        assert caught.value.fault is Fault.ROLLBACK
    with pytest.raises(TamperedError, match="receipt"):
        verified(settings, records={100: entry.replace(b"ada", b"bob")})


def _root(settings: RecorderSettings, size: int) -> bytes:
    frontier = Frontier()
    for leaf in volume.read(settings.directory)[:size]:
        frontier.add(leaf)
    return frontier.root()


def test_a_leaf_that_was_pruned_is_not_read_by_others(settings: RecorderSettings) -> None:
    prune(settings)
    with opened(settings) as parts:
        with pytest.raises(VerificationError, match="pruned"):
            parts.publisher.entry(511)
        with pytest.raises(VerificationError, match="pruned"):
            parts.publisher.entries(0, 600)
    found = (settings.directory / "pruned").iterdir()
    assert [path.name for path in found] == ["512.state"]

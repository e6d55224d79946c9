import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit import volume
from appliance.audit.checkpoint import open_checkpoint
from appliance.audit.commands import app
from appliance.audit.event import Fact, Kind, Leaf
from appliance.audit.key import Signer, Verifier, keys_text, parse_keys
from appliance.audit.keyring import Keyring
from appliance.audit.maintenance import held
from appliance.audit.note import Note
from appliance.audit.publisher import CHECKPOINT, RollbackError
from appliance.audit.rotation import Rotated, RotationError, bound, rotate
from appliance.audit.segments import VolumeError
from appliance.audit.verify import (
    EXIT_FINDINGS,
    EXIT_UNSIGNED,
    EXIT_WHOLE,
    Remark,
    Trust,
    verify,
)
from appliance.errors import VerificationError
from appliance.settings import RecorderSettings
from tests.audit.parts import Parts, opened
from tests.recording import ORIGIN, SEED, intent, new_log, running

OLD = Signer(ORIGIN, SEED, bytes(31) + b"\7").verifiers


@pytest.fixture
def settings(tmp_path: Path) -> RecorderSettings:
    """Return a log of two keys and three records."""
    settings = new_log(tmp_path, segment_bytes=64 << 10)
    with (settings.directory / volume.KEY_P256).open("wb") as file:
        file.write(bytes(31) + b"\7")
    (settings.directory / volume.VERIFIER_KEY).write_text(keys_text(OLD))
    worked(settings, 1, 2, 3)
    return settings


def worked(settings: RecorderSettings, *numbers: int) -> bytes:
    """Record requests and sign; return the checkpoint."""
    with held(settings) as log:
        for number in numbers:
            log.writer.append(intent(number), 1000)
        log.publish()
    return (settings.directory / CHECKPOINT).read_bytes()


def done(settings: RecorderSettings, revoked: int | None = None) -> Rotated:
    return rotate(settings, "camille", "fin de période", revoked)


def report(settings: RecorderSettings, keys: tuple[Verifier, ...]) -> Keyring:
    text = (settings.directory / "keyring.json").read_text("utf-8")
    ring = Keyring.parse(text)
    found = verify(settings.directory, Trust(keys, keyring=ring))
    assert {one.remark for one in found.findings} <= {Remark.CLOCK, Remark.ORPHAN}
    return ring


def test_the_checkpoint_at_that_size_is_signed_by_old_and_new(
    settings: RecorderSettings,
) -> None:
    rotated = done(settings)
    new = parse_keys(rotated.keys)
    note = (settings.directory / f"checkpoints/{rotated.size}.note").read_bytes()
    head = open_checkpoint(note, *OLD, *new)
    assert head.size == rotated.size == len(volume.read(settings.directory))
    assert not set(new) & set(OLD)
    after = worked(settings, 4)
    open_checkpoint(after, *new)
    with pytest.raises(VerificationError):
        open_checkpoint(after, OLD[0])
    assert len(Note.parse(after).signatures) == 2


def test_the_record_names_both_and_the_keyring_says_which_sizes(
    settings: RecorderSettings,
) -> None:
    rotated = done(settings)
    new = parse_keys(rotated.keys)
    event = Leaf.parse(volume.read(settings.directory)[-1]).event
    assert isinstance(event, Fact)
    assert event.kind is Kind.KEY_ROTATE
    assert [event.data["new_0"], event.data["new_1"]] == [key.text() for key in new]
    assert event.data["old_0"] == OLD[0].key_id.hex()
    worked(settings, 4)
    ring = report(settings, new)
    bounds = [(one.key, one.from_size, one.to_size, one.status) for one in ring.keys]
    size = rotated.size
    assert bounds == [
        *((key, 0, size, "retired") for key in OLD),
        *((key, size, None, "active") for key in new),
    ]


def test_checkpoints_of_either_side_are_taken_by_the_keyring_alone(
    settings: RecorderSettings,
) -> None:
    before = (settings.directory / CHECKPOINT).read_bytes()
    new = parse_keys(done(settings).keys)
    after = worked(settings, 4)
    ring = report(settings, new)
    earlier = [ring.open(before), ring.open(after)]
    verify(settings.directory, Trust(new, earlier, keyring=ring))
    with pytest.raises(VerificationError):
        open_checkpoint(before, *new)


def test_the_old_private_keys_are_gone_and_the_recorder_goes_on(
    settings: RecorderSettings,
) -> None:
    scalar = bytes(31) + b"\7"
    done(settings)
    files = [path for path in settings.directory.rglob("*") if path.is_file()]
    assert not [path for path in files if path.read_bytes() in {SEED, scalar}]
    assert not (settings.directory / "rotation").exists()
    modes = [(settings.directory / name).stat().st_mode & 0o777 for name in KEYS]
    assert modes == [0o400, 0o400]
    with running(settings):
        pass


KEYS = (volume.KEY, volume.KEY_P256)


def test_keys_are_changed_again_and_again(settings: RecorderSettings) -> None:
    first = parse_keys(done(settings).keys)
    worked(settings, 4)
    second = parse_keys(done(settings).keys)
    ring = report(settings, second)
    assert len(ring.keys) == 6
    assert [one.status for one in ring.keys] == ["retired"] * 4 + ["active"] * 2
    assert ring.keys_of(4) == OLD + first


def test_what_a_stolen_key_signed_after_the_last_good_anchor_is_not_proven(
    settings: RecorderSettings,
) -> None:
    anchored = (settings.directory / CHECKPOINT).read_bytes()
    worked(settings, 4, 5)
    stolen = (settings.directory / CHECKPOINT).read_bytes()
    rotated = done(settings, revoked=3)
    new = parse_keys(rotated.keys)
    worked(settings, 6)
    ring = Keyring.parse((settings.directory / "keyring.json").read_text("utf-8"))
    assert ring.unproven() == range(3, rotated.size)
    assert ring.open(anchored).size == 3
    with pytest.raises(VerificationError, match="revoked"):
        ring.open(stolen)
    found = verify(settings.directory, Trust(new, keyring=ring))
    assert (Remark.UNPROVEN, 3) in [(one.remark, one.record) for one in found.findings]
    assert found.exit_code == EXIT_UNSIGNED


def test_a_size_that_is_none_of_this_log_revokes_nothing(settings: RecorderSettings) -> None:
    for size in (0, 5, -1):
        with pytest.raises(RotationError, match="not the size"):
            done(settings, revoked=size)
    assert parse_keys((settings.directory / "verifier-key").read_text()) == OLD


def test_the_keys_of_a_running_recorder_are_not_changed(settings: RecorderSettings) -> None:
    with running(settings), pytest.raises(VolumeError, match="recorder"):
        done(settings)


class PowerCut(BaseException):
    """Nothing after it ran."""


RENAMES = 12  # of one rotation


@pytest.mark.parametrize("cut", range(1, RENAMES + 1))
def test_cut_short_at_any_step_the_command_run_again_ends_it(
    settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    left, real = [cut], Path.rename

    def rename(path: Path, to: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            raise PowerCut
        return real(path, to)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(PowerCut):
            done(settings)
    if (settings.directory / "rotation").exists():
        done(settings)
    new = parse_keys((settings.directory / "verifier-key").read_text())
    assert not set(new) & set(OLD)
    worked(settings, 4)
    assert not (settings.directory / "rotation").exists()
    report(settings, new)


def test_an_anchor_from_before_is_still_compared(
    settings: RecorderSettings, tmp_path: Path
) -> None:
    note = (settings.directory / CHECKPOINT).read_bytes()
    done(settings)
    known = settings.last_signed / "known"
    known.mkdir()
    (known / "3.note").write_bytes(note)
    worked(settings, 4)
    other = new_log(_folder(tmp_path), segment_bytes=64 << 10)
    with opened(other) as parts:
        _other(parts)
    shutil.copy(other.directory / CHECKPOINT, known / "4.note")
    with pytest.raises(RollbackError, match="signed for 4"):
        worked(settings, 5)


def _folder(path: Path) -> Path:
    (path / "other").mkdir()
    return path / "other"


def _other(parts: Parts) -> None:
    parts.append(*(intent(number) for number in (91, 92, 93, 94)))
    parts.publish()


def test_a_keyring_ends_what_was_active_and_leaves_what_was_not() -> None:
    new = Signer(ORIGIN, bytes(32)).verifiers
    other = Signer(ORIGIN, bytes([1] * 32)).verifiers
    once = bound(Keyring.of(OLD), new, 10, revoked_from=4)
    twice = bound(once, other, 20)
    assert [one.status for one in twice.keys] == ["revoked", "revoked", "retired", "active"]
    assert [one.to_size for one in twice.keys] == [10, 10, 20, None]
    assert (once.revoked_from_size, twice.revoked_from_size) == (4, 4)
    assert Keyring.parse(twice.text()) == twice


def test_the_command_line_verifies_over_a_rotation(settings: RecorderSettings) -> None:
    before = settings.directory.parent / "before.note"
    before.write_bytes((settings.directory / CHECKPOINT).read_bytes())
    done(settings)
    words = [
        "verify",
        str(settings.directory),
        "--key",
        str(settings.directory / "verifier-key"),
    ]
    with_ring = [*words, "--keyring", str(settings.directory / "keyring.json"), "--json"]
    found = CliRunner().invoke(app, [*with_ring, "--since", str(before)])
    assert found.exit_code in {EXIT_WHOLE, EXIT_FINDINGS}
    assert json.loads(found.output)["anchors"] == 1
    assert CliRunner().invoke(app, [*words, "--since", str(before)]).exit_code != 0

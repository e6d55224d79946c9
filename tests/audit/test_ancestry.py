import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit import volume
from appliance.audit.ancestry import Ancestor, ancestors
from appliance.audit.archive import Fault, TamperedError
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.commands import app
from appliance.audit.event import Kind, fact
from appliance.audit.key import Signer, Verifier, keys_text, parse_keys
from appliance.audit.lineage import former
from appliance.audit.publisher import LAST_SIGNED
from appliance.audit.succession import approve, propose
from appliance.audit.verify import EXIT_FINDINGS, Remark, Trust, verify
from appliance.settings import RecorderSettings
from tests.audit.parts import opened
from tests.recording import ORIGIN, SEED, intent, new_log

KEYS = (Signer(ORIGIN, SEED).verifier,)
ZONE = "Europe/Paris"


@pytest.fixture
def settings(tmp_path: Path) -> RecorderSettings:
    """Return a log of the second epoch, which lost one record of the first."""
    settings = new_log(tmp_path, segment_bytes=64 << 10)
    with opened(settings) as parts:
        parts.append(intent(1), fact(Kind.AUTH_LOGIN, "ada", "1" * 20))
        parts.publish()
    begin(settings, 3)
    return settings


def begin(settings: RecorderSettings, known: int) -> None:
    """Begin a new epoch, as if `known` records had been signed."""
    path = settings.last_signed / LAST_SIGNED
    origin = Checkpoint.parse(path.read_text()).origin
    path.write_text(Checkpoint(origin, known, bytes(32)).text())
    stated = propose(settings, "camille", "essai", ())
    approve(settings, "dominique", stated.code())


def current(settings: RecorderSettings) -> tuple[Verifier, ...]:
    return parse_keys((settings.directory / "verifier-key").read_text())


def found(
    settings: RecorderSettings, *keys: tuple[Verifier, ...], expect: int = EXIT_FINDINGS
) -> list[Ancestor]:
    report = verify(settings.directory, Trust(current(settings)))
    assert report.exit_code == expect
    assert [one.remark for one in report.findings] == [Remark.EPOCH]
    return ancestors(settings.directory, report.head, keys, ZONE)


def test_the_former_log_is_verified_with_its_own_keys(settings: RecorderSettings) -> None:
    (one,) = found(settings, KEYS)
    assert (one.origin, one.told.lost, one.told.kept) == (ORIGIN, (2, 3), 2)
    assert one.report is not None
    assert one.report.records == 2


def test_without_its_keys_it_is_named_and_not_verified(settings: RecorderSettings) -> None:
    (one,) = found(settings)
    assert (one.origin, one.report) == (ORIGIN, None)


def test_epochs_are_followed_to_the_first_one(settings: RecorderSettings) -> None:
    second = current(settings)
    begin(settings, 9)
    names = [(one.origin, one.report is not None) for one in found(settings, KEYS, second)]
    assert names == [(f"{ORIGIN}/e2", True), (ORIGIN, True)]
    names = [(one.origin, one.report is not None) for one in found(settings, KEYS)]
    assert names == [(f"{ORIGIN}/e2", False)]  # without its keys nothing is known beyond it


def test_a_log_of_the_first_epoch_follows_nothing(tmp_path: Path) -> None:
    settings = new_log(tmp_path, segment_bytes=64 << 10)
    assert ancestors(settings.directory, Checkpoint(ORIGIN, 1, bytes(32)), [KEYS], ZONE) == []


def test_a_log_whose_first_record_was_pruned_is_followed_no_further(
    settings: RecorderSettings,
) -> None:
    report = verify(settings.directory, Trust(current(settings)))
    (settings.directory / "pruned").mkdir()
    (settings.directory / "pruned" / "256.state").touch()
    assert ancestors(settings.directory, report.head, [KEYS], ZONE) == []


def writable(folder: Path) -> Path:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700)
    return folder


def _changed(settings: RecorderSettings) -> None:
    old = writable(former(settings.directory, 1))
    path = old / "tile/entries/000.p/2"
    path.write_bytes(path.read_bytes().replace(b"auth.login", b"auth.logon"))


def _longer(settings: RecorderSettings) -> None:
    old = writable(former(settings.directory, 1))
    with volume.locked(old, 64 << 10) as log:
        at = log.size
        stored = volume.read(old)[1].replace(b'"index":1', b'"index":%d' % at)
        log.append([stored.replace(b"1" * 20, b"2" * 20)])


def _another(settings: RecorderSettings) -> None:
    """Put another log that the same key signed into the place of the old one."""
    old = writable(former(settings.directory, 1))
    shutil.rmtree(old)
    place = settings.directory.parent / "other"
    place.mkdir()
    other = new_log(place, segment_bytes=64 << 10)
    with opened(other) as parts:
        parts.append(intent(1), intent(2))
        parts.publish()
    shutil.copytree(other.directory, old)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [(_changed, Fault.LEAF), (_longer, Fault.ROLLBACK), (_another, Fault.ROLLBACK)],
)
def test_a_former_log_that_is_not_the_one_that_was_stated_is_refused(
    settings: RecorderSettings, spoil: Callable[[RecorderSettings], None], fault: Fault
) -> None:
    spoil(settings)
    with pytest.raises(TamperedError) as caught:
        found(settings, KEYS)
    assert caught.value.fault == fault


def test_a_checkpoint_that_another_key_signed_is_refused(settings: RecorderSettings) -> None:
    other = (Signer(ORIGIN, bytes(32)).verifier,)
    with pytest.raises(TamperedError, match="first record") as caught:
        found(settings, other)
    assert caught.value.fault is Fault.CHECKPOINT


def test_a_log_of_a_later_epoch_has_to_name_the_one_before(settings: RecorderSettings) -> None:
    report = verify(settings.directory, Trust(current(settings)))
    for origin, why in ((f"{ORIGIN}/e3", "epoch 2"), ("audit.example/x/e2", "follows")):
        head = Checkpoint(origin, report.head.size, report.head.root)
        with pytest.raises(TamperedError, match=why):
            ancestors(settings.directory, head, [KEYS], ZONE)


@pytest.mark.parametrize(
    ("language", "said", "bare"),
    [
        ("fr", "perdus : 2 à 2 ; vérifié", "non vérifié"),
        ("en", "lost: 2 to 2; verified", "not"),
    ],
)
def test_the_command_says_what_the_log_follows(
    settings: RecorderSettings, language: str, said: str, bare: str
) -> None:
    (settings.directory.parent / "keys").write_text(keys_text(current(settings)))
    words = ["verify", str(settings.directory), "--language", language, "--key"]
    words.append(str(settings.directory.parent / "keys"))
    done = CliRunner().invoke(app, [*words, "--former-key", KEYS[0].text()])
    assert (done.exit_code, said in done.output) == (EXIT_FINDINGS, True)
    assert "camille" in done.output
    assert "W_EPOCH" in done.output
    assert bare in CliRunner().invoke(app, words).output

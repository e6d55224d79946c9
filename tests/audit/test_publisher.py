import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.audit import publisher
from appliance.audit.checkpoint import Checkpoint, open_checkpoint
from appliance.audit.key import Signer
from appliance.audit.note import Note, sign
from appliance.audit.publisher import CHECKPOINT, LAST_SIGNED, Publisher, RollbackError
from appliance.audit.tile import encode_bundle, tiles_of
from appliance.audit.tree import Frontier, leaf_hash
from appliance.errors import VerificationError
from tests.audit import logs

SIGNER = Signer("audit.example/demo", bytes(range(32)))


def entries(start: int, end: int) -> list[bytes]:
    return [b'{"n":%d}' % n for n in range(start, end)]


def hashes(leaves: Sequence[bytes]) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in leaves]


class Log:
    """A published log without a recorder: the leaf at index n is `{"n":n}`."""

    def __init__(self, folder: Path) -> None:
        self.directory, self.lock = folder / "log", folder / "last-signed"
        self.directory.mkdir()
        self.lock.mkdir()
        publisher.create(self.lock, SIGNER.verifier.name)
        self.journal = 0  # leaves in the journal

    def start(self) -> Publisher:
        started = Publisher(self.directory, self.lock, SIGNER)
        published = started.load().size
        started.open(entries(published, self.journal), self.journal)
        return started

    def grow(self, *sizes: int) -> Publisher:
        running = self.start()
        for size in sizes:
            leaves = entries(self.journal, size)
            self.journal = size
            running.publish(leaves, hashes(leaves))
        return running

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.directory.rglob("*") if path.is_file())
        return {p.relative_to(self.directory).as_posix(): p.read_bytes() for p in found}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def root(size: int) -> bytes:
    frontier = Frontier()
    for leaf in entries(0, size):
        frontier.add(leaf)
    return frontier.root()


def test_the_worked_example_on_disk(log: Log) -> None:
    log.grow(3)
    assert log.files() == {
        "checkpoint": (
            "audit.example/demo\n3\nLP73YnWX4AtWSXV3Stco7yEHBnWfym1kE4xt/By/LNo=\n\n"
            "\u2014 audit.example/demo ZAd0ihsgLxfv6zsiwV0b0faYubPkRz912uUkTcDrnkD9ZDj3R0OhQTDi"
            "PRzR5glWxXiicQV/SlDkbGUzF6ECq7FypwY=\n"
        ).encode(),
        "tile/0/000.p/3": b"".join(hashes(entries(0, 3))),
        "tile/entries/000.p/3": encode_bundle(entries(0, 3)),
    }


@pytest.mark.parametrize(
    "sizes",
    [(1,), (255,), (256,), (257,), (1, 2, 255, 256, 257, 600), (65_535, 65_536, 65_537)],
    ids=str,
)
def test_each_tile_of_the_tree_is_there_and_leads_to_the_signed_root(
    log: Log, sizes: tuple[int, ...]
) -> None:
    running = log.grow(*sizes)
    size = sizes[-1]
    head = open_checkpoint((log.directory / CHECKPOINT).read_bytes(), SIGNER.verifier)
    assert head == running.head == Checkpoint("audit.example/demo", size, root(size))
    files = log.files()
    for tile in tiles_of(size):
        assert len(files[tile.path]) == 32 * tile.width
    for index in {0, 1 % size, size // 2, size - 1, 255 % size, 256 % size}:
        assert running.entry(index) == b'{"n":%d}' % index
        assert running.prove(index).verify(b'{"n":%d}' % index, SIGNER.verifier) == head


def test_a_partial_tile_is_dropped_once_its_full_one_is_there(log: Log) -> None:
    running = log.grow(200, 250)
    assert {"tile/0/000.p/200", "tile/0/000.p/250"} <= log.files().keys()
    running.publish(entries(250, 256), hashes(entries(250, 256)))
    assert log.files().keys() == {
        "checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/000",
    }  # fmt: skip


def test_a_proof_of_the_last_checkpoint_outlives_the_tiles_it_came_from(log: Log) -> None:
    behind = log.grow(250)
    log.grow(300)
    proof = behind.prove(249)  # reads the full tile in place of the partial one
    assert proof.verify(behind.entry(249), SIGNER.verifier).size == 250


@pytest.mark.parametrize("index", [-1, 3, 4])
def test_what_is_not_published_is_not_proved(log: Log, index: int) -> None:
    running = log.grow(3)
    with pytest.raises(VerificationError):
        running.prove(index)
    with pytest.raises(VerificationError):
        running.entry(index)


def test_each_key_of_the_log_signs_on_a_line_of_its_own(tmp_path: Path) -> None:
    running = logs.publish(tmp_path, entries(0, 3))
    keys = logs.SIGNER.verifiers
    assert [line.key_id for line in Note.parse(running.note).signatures] == [
        key.key_id for key in keys
    ]
    assert open_checkpoint(running.note, *keys).size == 3
    again = Publisher(tmp_path / "log", tmp_path / "signed", logs.SIGNER)
    assert again.load().size == 3
    other = Signer(logs.ORIGIN, logs.SEED, bytes(range(1, 33)))
    with pytest.raises(RollbackError, match="not ours"):
        Publisher(tmp_path / "log", tmp_path / "signed", other).load()


def test_nothing_new_is_not_signed_again(log: Log) -> None:
    running = log.grow(3)
    note, before = running.note, (log.directory / CHECKPOINT).stat().st_ino
    assert running.publish([], []) == note
    assert (log.directory / CHECKPOINT).stat().st_ino == before


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700])
def test_a_recorder_that_starts_again_goes_on_where_the_last_one_was(
    log: Log, size: int
) -> None:
    log.grow(*([size] if size else []))
    log.journal += 5  # durable, not yet published
    started = Publisher(log.directory, log.lock, SIGNER)
    tail = entries(started.load().size, log.journal)
    frontier = started.open(tail, log.journal)
    assert (frontier.size, frontier.root()) == (size + 5, root(size + 5))
    note = started.publish(tail, hashes(tail))
    assert open_checkpoint(note, SIGNER.verifier).root == root(size + 5)


def test_the_folder_of_the_last_signed_root_is_never_overwritten(log: Log) -> None:
    log.grow(3)
    with pytest.raises(RollbackError, match="not overwritten"):
        publisher.create(log.lock, SIGNER.verifier.name)
    assert Checkpoint.parse((log.lock / LAST_SIGNED).read_text()).size == 3


class PowerCut(BaseException):
    """Nothing after it ran."""


@pytest.mark.parametrize("calls", range(1, 18))
def test_after_a_power_cut_at_any_call_the_log_goes_on_with_one_root_per_size(
    log: Log, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    running = log.grow(254)
    log.journal = 300
    left, real = [calls], os.fsync

    def fsync(fd: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise PowerCut
        real(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(PowerCut):
            running.publish(entries(254, 300), hashes(entries(254, 300)))
    signed = Checkpoint.parse((log.lock / LAST_SIGNED).read_text())
    head = open_checkpoint((log.directory / CHECKPOINT).read_bytes(), SIGNER.verifier)
    assert head.root == root(head.size)
    assert signed.root == root(signed.size)
    assert head.size <= signed.size
    log.journal = 301
    started = log.start()
    tail = entries(started.head.size, 301)
    assert open_checkpoint(started.publish(tail, hashes(tail)), SIGNER.verifier).size == 301
    assert started.prove(300).verify(entries(300, 301)[0], SIGNER.verifier).root == root(301)


def test_the_last_signed_root_is_durable_before_the_signature_exists(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, seen = log.grow(3), []

    def sign(text: bytes) -> bytes:
        seen.append((log.lock / LAST_SIGNED).read_bytes())
        assert b"\n3\n" in (log.directory / CHECKPOINT).read_bytes()
        assert seen[-1] == text
        return bytes(64)

    monkeypatch.setattr(SIGNER, "sign", sign)
    running.publish(entries(3, 5), hashes(entries(3, 5)))
    assert len(seen) == 1


def test_tiles_are_durable_before_the_checkpoint_that_needs_them(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, order = log.grow(3), []
    real = publisher.write_files

    def write_files(directory: Path, files: dict[str, bytes]) -> None:
        order.append(sorted(files))
        real(directory, files)

    monkeypatch.setattr(publisher, "write_files", write_files)
    running.publish(entries(3, 4), hashes(entries(3, 4)))
    assert order == [[LAST_SIGNED], ["tile/0/000.p/4", "tile/entries/000.p/4"], [CHECKPOINT]]


def _restored(log: Log) -> None:
    """Bring the log back as it was at 3 leaves; the last signed root knows of 10."""
    copy = log.directory.with_name("copy")
    log.grow(3)
    shutil.copytree(log.directory, copy)
    log.grow(10)
    shutil.rmtree(log.directory)
    copy.rename(log.directory)
    log.journal = 3


def _journal_cut(log: Log) -> None:
    log.grow(10)
    log.journal = 8


def _lock_restored(log: Log) -> None:
    log.grow(3)
    text = (log.lock / LAST_SIGNED).read_text()
    log.grow(10)
    (log.lock / LAST_SIGNED).write_text(text)


def _lock_away(log: Log) -> None:
    log.grow(3)
    (log.lock / LAST_SIGNED).unlink()


def _lock_of_another_tree(log: Log) -> None:
    log.grow(3)
    (log.lock / LAST_SIGNED).write_text(Checkpoint("audit.example/demo", 3, bytes(32)).text())


def _lock_of_another_tail(log: Log) -> None:
    log.grow(3)
    (log.lock / LAST_SIGNED).write_text(Checkpoint("audit.example/demo", 4, bytes(32)).text())
    log.journal = 5


def _lock_damaged(log: Log) -> None:
    log.grow(3)
    (log.lock / LAST_SIGNED).write_text("audit.example/demo\n3\n")


def _tile_away(log: Log) -> None:
    log.grow(3)
    (log.directory / "tile/0/000.p/3").unlink()


def _tile_changed(log: Log) -> None:
    log.grow(3)
    (log.directory / "tile/0/000.p/3").write_bytes(bytes(96))


def _tile_short(log: Log) -> None:
    log.grow(3)
    (log.directory / "tile/0/000.p/3").write_bytes(bytes(64))


def _checkpoint_of_another_key(log: Log) -> None:
    log.grow(3)
    path = log.directory / CHECKPOINT
    path.write_bytes(path.read_bytes().replace(b"ZAd0ihsg", b"ZAd0ihsh"))


def _checkpoint_of_another_root(log: Log) -> None:
    log.grow(3)
    other = Checkpoint("audit.example/demo", 3, bytes(32))
    (log.directory / CHECKPOINT).write_bytes(sign(other.text(), SIGNER).to_bytes())


def _checkpoint_away(log: Log) -> None:
    log.grow(3)
    (log.directory / CHECKPOINT).unlink()
    log.journal = 2


REFUSED = [
    _restored, _journal_cut, _lock_restored, _lock_away, _lock_of_another_tree,
    _lock_of_another_tail, _lock_damaged, _tile_away, _tile_changed, _tile_short,
    _checkpoint_of_another_key, _checkpoint_of_another_root, _checkpoint_away,
]  # fmt: skip


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda f: f.__name__.strip("_"))
def test_a_recorder_refuses_to_start_on(log: Log, spoil: object) -> None:
    assert callable(spoil)
    spoil(log)
    with pytest.raises(RollbackError):
        log.start()


def test_two_recorders_cannot_sign_one_after_the_other_from_copies(log: Log) -> None:
    first = log.grow(3)
    second = log.start()
    first.publish(entries(3, 4), hashes(entries(3, 4)))
    with pytest.raises(RollbackError, match="another recorder"):
        second.publish([b"other"], hashes([b"other"]))

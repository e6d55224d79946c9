"""Making an export: also while the log grows, also after a cut, never of what is damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.audit import contents
from appliance.audit import export as exporting
from appliance.audit.archive import TamperedError
from appliance.audit.contents import Order
from appliance.audit.event import Kind, fact
from appliance.audit.export import ExportError, export, range_of
from appliance.audit.key import Signer
from appliance.audit.keyring import BoundKey, Keyring
from appliance.audit.publisher import CHECKPOINT, Publisher
from appliance.audit.tree import leaf_hash
from appliance.audit.volume import VERIFIER_KEY
from tests.audit import exports, logs
from tests.audit.exports import head_of, judged, log_of

COUNT = 700
THIEF = Signer(logs.ORIGIN, bytes(range(9, 41))).verifier


def leaves(count: int = COUNT) -> list[bytes]:
    made = [fact(Kind.RAG_OPEN, "ada", f"fact-{n:016d}", number=n) for n in range(count)]
    return logs.leaves(made)


@pytest.fixture(scope="module")
def stored() -> list[bytes]:
    return leaves()


@pytest.fixture
def log(tmp_path: Path, stored: list[bytes]) -> Path:
    return log_of(tmp_path, stored, [300, COUNT])


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def text_order(first: int = 0, last: int = COUNT - 1, **more: object) -> Order:
    wanted: dict[str, object] = {"formats": frozenset({"jsonl", "csv", "ocsf"}), **more}
    return Order(first, last, **wanted)  # type: ignore[arg-type]


def test_the_folder_holds_the_whole_tree_and_the_bundles_of_the_range_only(
    log: Path, tmp_path: Path
) -> None:
    done = export(log, tmp_path / "out", text_order(300, 400))
    found = tree(done.folder)
    assert {name for name in found if name.startswith("tile/")} == {
        "tile/0/000", "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2", "tile/entries/001",
    }  # fmt: skip
    assert {"checkpoint", "anchors/300.note", f"anchors/{COUNT}.note"} <= found.keys()
    assert found["checkpoint"] == found[f"anchors/{COUNT}.note"]  # with its cosignature
    assert done.sums == contents.digest(found["SHA256SUMS"])
    assert found["events.jsonl"].count(b"\n") == found["events.ocsf.jsonl"].count(b"\n") == 101
    assert done.tally.types == {str(Kind.RAG_OPEN): 101}
    assert done.anchors == (300, COUNT)


def test_the_same_order_gives_the_same_bytes(log: Path, tmp_path: Path) -> None:
    one = export(log, tmp_path / "one", text_order())
    two = export(log, tmp_path / "two", text_order())
    assert tree(one.folder) == tree(two.folder)
    assert one.sums == two.sums


@pytest.mark.parametrize(
    ("first", "last"), [(0, COUNT), (5, 4), (-1, 3), (COUNT, COUNT)],
    ids=["past-the-end", "backwards", "negative", "after-the-end"],
)  # fmt: skip
def test_a_range_that_is_not_signed_is_refused(
    log: Path, tmp_path: Path, first: int, last: int
) -> None:
    with pytest.raises(ExportError, match="not among the 700 signed ones"):
        export(log, tmp_path / "out", text_order(first, last))


def test_nothing_is_overwritten(log: Path, tmp_path: Path) -> None:
    export(log, tmp_path / "out", text_order())
    with pytest.raises(ExportError, match="not overwritten"):
        export(log, tmp_path / "out", text_order())


def test_a_log_without_checkpoint_or_keys_is_refused(log: Path, tmp_path: Path) -> None:
    assert range_of(log) == (0, COUNT - 1)
    (log / CHECKPOINT).rename(log / "away")
    for refused in (lambda: range_of(log), lambda: export(log, tmp_path, text_order())):
        with pytest.raises(ExportError, match="no signed checkpoint"):
            refused()
    (log / "away").rename(log / CHECKPOINT)
    (log / VERIFIER_KEY).unlink()
    with pytest.raises(ExportError, match=VERIFIER_KEY):
        export(log, tmp_path / "out", text_order())


class Cut(Exception):  # noqa: N818 - what a power cut is to a program
    pass


def cut_after(records: int) -> Callable[[int, int], None]:
    def progress(done: int, count: int) -> None:
        assert count
        if done >= records:
            raise Cut

    return progress


@pytest.mark.parametrize("records", [1, 256, 300, 512, 700])
def test_an_export_that_was_cut_goes_on_where_it_stopped(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: int
) -> None:
    monkeypatch.setattr(exporting, "SAVED", 2)
    monkeypatch.setattr(exporting, "ROW", 1)
    whole = export(log, tmp_path / "whole", text_order(10))
    with pytest.raises(Cut):
        export(log, tmp_path / "out", text_order(10), cut_after(records - 10))
    (work,) = (tmp_path / "out").iterdir()
    assert work.name.endswith(".part")
    with (work / "events.csv").open("ab") as file:
        file.write(b"half a li")  # what was not durable
    seen: list[int] = []
    done = export(log, tmp_path / "out", text_order(10), lambda at, _: seen.append(at))
    assert tree(done.folder) == tree(whole.folder)
    assert done.tally == whole.tally
    assert len(seen) < 3 or records < 300


def test_it_goes_on_under_its_head_when_the_log_has_grown(tmp_path: Path) -> None:
    log = log_of(tmp_path, leaves(300))
    order = text_order(0, 299)
    with pytest.raises(Cut):
        export(log, tmp_path / "out", order, cut_after(1))
    grown = tmp_path / "grown"
    grown.mkdir()
    other = log_of(grown, leaves(600))
    done = export(other, tmp_path / "out", order)
    assert done.head.size == 300
    assert (done.folder / "tile/entries/001.p/44").exists()
    assert judged(done.folder, tmp_path / "POLICY")[0] == 3


def test_another_order_does_not_go_on_with_it(log: Path, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        export(log, tmp_path / "out", text_order(), cut_after(1))
    with pytest.raises(ExportError, match="another order"):
        export(log, tmp_path / "out", text_order(formats=frozenset()))


def test_a_beginning_without_its_first_point_begins_anew(log: Path, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        export(log, tmp_path / "out", text_order(), cut_after(1))
    (work,) = (tmp_path / "out").iterdir()
    (work / contents.RESUME).write_bytes(b"{")
    (work / "left").write_bytes(b"")
    done = export(log, tmp_path / "out", text_order())
    assert not (done.folder / "left").exists()


def test_a_damaged_log_is_not_handed_out(log: Path, tmp_path: Path) -> None:
    bundle = log / "tile/entries/001"
    good = bundle.read_bytes()
    bundle.write_bytes(good.replace(b'"number":300', b'"number":301'))
    with pytest.raises(TamperedError, match="record 300, tile/entries/001"):
        export(log, tmp_path / "out", text_order())
    bundle.write_bytes(good)
    (log / "tile/0/001").write_bytes(bytes(8192))
    with pytest.raises(TamperedError, match="record 256"):
        export(log, tmp_path / "other", text_order())


def test_partial_tiles_that_the_recorder_drops_meanwhile_are_cut_from_the_full_ones(
    tmp_path: Path, stored: list[bytes]
) -> None:
    log = log_of(tmp_path, stored[:300])
    whole = export(log, tmp_path / "whole", text_order(0, 299))
    running = Publisher(log, tmp_path / "signed", logs.SIGNER)
    running.open([], 300)
    more = stored[300:520]
    note = (log / CHECKPOINT).read_bytes()
    running.publish(more, [leaf_hash(leaf) for leaf in more])
    assert not (log / "tile/0/001.p").exists()
    (log / CHECKPOINT).write_bytes(note)  # read before the recorder went on
    done = export(log, tmp_path / "out", text_order(0, 299))
    assert tree(done.folder) == tree(whole.folder)


def test_a_folder_of_many_anchors_gives_a_choice_of_them(log: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    for size in range(1, 200):
        (far / f"{size}.note").write_bytes(head_of(leaves(size)).to_bytes())
    (far / "notes.txt").write_bytes(b"")
    (far / "999.note").write_bytes(b"audit.example/demo/e0\nof another epoch\n")
    done = export(log, tmp_path / "out", text_order(formats=frozenset(), anchors=far))
    assert len(done.anchors) == exporting.ANCHORS_MAX
    assert done.anchors[-1] == 199


def test_what_was_pruned_is_not_exported_and_the_rest_is(log: Path, tmp_path: Path) -> None:
    (log / "tile/entries/000").unlink()
    (log / "pruned").mkdir()
    (log / "pruned/256.state").write_bytes(b"")
    assert range_of(log) == (256, COUNT - 1)
    with pytest.raises(ExportError, match="those before 256 were pruned"):
        export(log, tmp_path / "out", text_order())
    done = export(log, tmp_path / "out", text_order(256))
    assert judged(done.folder, tmp_path / "POLICY")[0] == 0


def test_keys_that_were_changed_go_along_with_their_sizes(log: Path, tmp_path: Path) -> None:
    ring = Keyring.of(logs.SIGNER.verifiers)
    old = BoundKey(THIEF.text(), 0, 300, "retired")
    ring = Keyring(1, ring.origin, None, (old, *ring.keys))
    (log / "keyring.json").write_text(ring.text())
    (log / "checkpoints").mkdir()
    (log / "checkpoints/300.note").write_bytes(head_of(leaves(300)).to_bytes())
    done = export(log, tmp_path / "out", text_order(formats=frozenset()))
    assert (done.folder / "keys/keyring.json").read_text() == ring.text()
    assert (done.folder / "checkpoints/300.note").exists()
    assert THIEF.text() not in (done.folder / "keys/POLICY.example").read_text()
    (log / "keyring.json").write_text("{}")
    with pytest.raises(ExportError, match=r"keyring\.json"):
        export(log, tmp_path / "other", text_order())


def test_who_asked_and_when_is_in_the_description(log: Path, tmp_path: Path) -> None:
    order = text_order(made=exports.seconds(0) * 1_000_000, made_by="auditrice", label="X")
    done = export(log, tmp_path / "out", order)
    said = json.loads((done.folder / "export.json").read_bytes())
    assert (said["made_by"], said["made"]) == ("auditrice", "2026-11-23T08:00:05.000000Z")
    assert done.folder.name.endswith("-x")

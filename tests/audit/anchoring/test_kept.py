import os
from pathlib import Path

import pytest

from appliance.audit.anchoring.answer import Anchor, AnchorError
from appliance.audit.anchoring.kept import keep, largest
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.cosignature import WitnessKey
from appliance.audit.key import Signer
from appliance.audit.note import Note, sign
from tests.audit import logs
from tests.audit.anchoring.test_answer import OTHER, RSSI
from tests.audit.witness.test_request import head


def anchor(size: int, witness: WitnessKey = RSSI, at: int = 100) -> Anchor:
    note = sign(head(size).text(), logs.SIGNER)
    line = witness.cosign(note.text, at)
    return Anchor(head(size), Note(note.text, (*note.signatures, line)), {"rssi": at})


def test_an_anchor_is_a_note_named_by_its_size(tmp_path: Path) -> None:
    path = keep(tmp_path / "anchors", anchor(300))
    assert path == tmp_path / "anchors" / "300.note"
    assert path.read_bytes() == anchor(300).note.to_bytes()
    assert [one.name for one in path.parent.iterdir()] == ["300.note"]


def test_what_root_keeps_at_the_rack_the_recorder_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, *ids: given.append((path.name, *ids)))
    keep(tmp_path / "anchors", anchor(7))
    owner = tmp_path.stat()
    ids = (owner.st_uid, owner.st_gid)
    assert given == [("anchors", *ids), ("7.note", *ids)]
    monkeypatch.setattr(os, "geteuid", lambda: 880)
    keep(tmp_path / "anchors", anchor(7))
    assert len(given) == 2
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    keep(tmp_path / "anchors", anchor(7))  # the folder is there: it stays whose it is
    assert given[2:] == [("7.note", *ids)]


def test_cosignatures_of_one_checkpoint_come_together(tmp_path: Path) -> None:
    keep(tmp_path, anchor(300))
    path = keep(tmp_path, anchor(300, OTHER, 50))
    note = Note.parse(path.read_bytes())
    assert (RSSI.cosigner.time_of(note), OTHER.cosigner.time_of(note)) == (100, 50)


def test_two_checkpoints_of_one_size_are_a_fork(tmp_path: Path) -> None:
    path = keep(tmp_path, anchor(300))
    before = path.read_bytes()
    forked = Checkpoint(logs.ORIGIN, 300, bytes(32))
    with pytest.raises(AnchorError, match="another checkpoint"):
        keep(tmp_path, Anchor(forked, sign(forked.text(), logs.SIGNER), {}))
    assert path.read_bytes() == before


def test_the_log_of_a_later_epoch_begins_its_sizes_anew(tmp_path: Path) -> None:
    before = keep(tmp_path, anchor(300)).read_bytes()
    later = Checkpoint(f"{logs.ORIGIN}/e2", 300, bytes(32))
    signer = Signer(later.origin, bytes(32))
    note = sign(later.text(), signer)
    keep(tmp_path, Anchor(later, note, {}))
    assert (tmp_path / "300.note").read_bytes() == note.to_bytes()
    (former,) = tmp_path.glob("300.*.note")
    assert former.read_bytes() == before


def test_a_damaged_anchor_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "300.note").write_bytes(b"nonsense")
    with pytest.raises(AnchorError, match="damaged"):
        keep(tmp_path, anchor(300))
    assert (tmp_path / "300.note").read_bytes() == b"nonsense"


def test_the_largest_that_a_witness_knows(tmp_path: Path) -> None:
    assert largest(tmp_path / "absent", logs.ORIGIN) == 0
    keep(tmp_path, anchor(99))
    keep(tmp_path, anchor(300))
    keep(tmp_path, anchor(400, OTHER))
    (tmp_path / "500.note").write_bytes(b"nonsense")
    (tmp_path / "600.note").write_bytes(sign(head(600).text(), logs.SIGNER).to_bytes())
    assert largest(tmp_path, logs.ORIGIN) == 400
    assert largest(tmp_path, logs.ORIGIN, {"rssi.example/w1"}) == 300
    assert largest(tmp_path, f"{logs.ORIGIN}/e2") == 0

from pathlib import Path

from appliance.audit import erased_marks


def test_a_mark_is_read_back_and_what_is_none_is_nothing(tmp_path: Path) -> None:
    assert erased_marks.read(tmp_path) is None
    for index in (erased_marks.NONE, 0, 10_000_000):
        erased_marks.write(tmp_path, index)
        assert erased_marks.read(tmp_path) == index
    (tmp_path / erased_marks.FILE).write_text("many")
    assert erased_marks.read(tmp_path) is None

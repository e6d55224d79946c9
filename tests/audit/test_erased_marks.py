from pathlib import Path

from appliance.audit import erased_marks
from appliance.audit.erased_marks import Marks


def test_marks_are_read_back_and_what_is_none_is_nothing(tmp_path: Path) -> None:
    assert erased_marks.read(tmp_path) is None
    for marks in (Marks(), Marks(10_000_000, [(0, 7), (9, 12)])):
        erased_marks.write(tmp_path, marks)
        assert erased_marks.read(tmp_path) == marks
    for text in ("many", "12", '{"last": "1"}'):
        (tmp_path / erased_marks.FILE).write_text(text)
        assert erased_marks.read(tmp_path) is None

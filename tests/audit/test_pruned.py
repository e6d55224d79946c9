from pathlib import Path

import pytest

from appliance.audit.pruned import minimum, name_of, read_state


def test_a_log_begins_where_the_last_pruning_left_it(tmp_path: Path) -> None:
    assert minimum(tmp_path) == 0
    (tmp_path / "pruned").mkdir()
    for name in ("256.state", "1024.state", "x.state", "4096.new", "-1.state"):
        (tmp_path / "pruned" / name).write_bytes(b"{}")
    assert minimum(tmp_path) == 1024
    assert name_of(1024) == "pruned/1024.state"
    assert read_state(tmp_path, 1024) == b"{}"
    with pytest.raises(OSError, match="512"):
        read_state(tmp_path, 512)

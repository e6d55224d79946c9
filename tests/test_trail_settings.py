from pathlib import Path

import pytest

from appliance.settings import SettingsError, load
from appliance.trail_settings import HeartbeatSettings, ReaderSettings

READER = """
socket = "/run/reader"
clients = [883]
gateways = [882]
recorder = "/run/recorder"
database = "dbname=casemate"
policy = "/policy"
keys = "/keys"
wrapping_key = "/secret"
public_key = "/public"
"""


def test_a_reader_names_who_asks_and_whose_word_counts(tmp_path: Path) -> None:
    (path := tmp_path / "reader.toml").write_text(READER)
    assert load(path, ReaderSettings).gateways == {882}
    path.write_text(READER.replace("882", '"casemate-gateway"'))
    with pytest.raises(SettingsError, match=r"gateways\.0"):
        load(path, ReaderSettings)


def test_a_heartbeat_comes_every_five_minutes_unless_told_otherwise(tmp_path: Path) -> None:
    (path := tmp_path / "heartbeat.toml").write_text('recorder = "/run/recorder"\n')
    assert load(path, HeartbeatSettings).every == 300
    path.write_text('recorder = "/run/recorder"\nevery = 0\n')
    with pytest.raises(SettingsError, match="every"):
        load(path, HeartbeatSettings)

"""Keys to which contents are sealed: read strictly, followed when one is replaced."""

import base64
import os
from pathlib import Path

import pytest

from appliance.gateway.recipients import Recipients, read_public
from appliance.settings import SettingsError


def test_a_public_key_is_read_raw_or_in_base64_and_nothing_else(tmp_path: Path) -> None:
    path, key = tmp_path / "key", bytes(range(32))
    for good in (key, base64.b64encode(key), base64.b64encode(key).rstrip(b"=") + b"\n"):
        path.write_bytes(good)
        assert read_public(path) == key
    for bad in (b"", b"x" * 31, b"!" * 44):
        path.write_bytes(bad)
        with pytest.raises(SettingsError):
            read_public(path)
    with pytest.raises(SettingsError):
        read_public(tmp_path / "absent")


def test_the_reader_s_new_key_is_followed_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    history, reader = tmp_path / "history.pub", tmp_path / "reader.pub"
    history.write_bytes(b"h" * 32)
    reader.write_bytes(b"a" * 32)
    recipients = Recipients(history, reader)
    assert recipients.keys == [b"h" * 32, b"a" * 32]
    for content, known in ((b"b" * 32, b"b"), (b"short", b"b"), (b"c" * 32, b"c")):
        fresh = tmp_path / "fresh"
        fresh.write_bytes(content)
        os.utime(fresh, ns=(1, reader.stat().st_mtime_ns + 1))
        fresh.rename(reader)
        recipients.look()
        assert recipients.keys == [b"h" * 32, known * 32]
    reader.unlink()
    recipients.look()
    assert recipients.keys[1] == b"c" * 32


def test_without_a_reader_the_owner_is_the_only_recipient(tmp_path: Path) -> None:
    history = tmp_path / "history.pub"
    history.write_bytes(b"h" * 32)
    recipients = Recipients(history, None)
    recipients.look()
    assert recipients.keys == [b"h" * 32]


def test_a_reader_that_never_made_a_key_stops_the_start(tmp_path: Path) -> None:
    history = tmp_path / "history.pub"
    history.write_bytes(b"h" * 32)
    with pytest.raises(SettingsError, match=r"reader\.pub"):
        Recipients(history, tmp_path / "reader.pub")

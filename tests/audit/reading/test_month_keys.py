"""Keys of the months: made once, wrapped at rest, destroyed when nothing needs them."""

from pathlib import Path

import pytest

from appliance.audit.content import ContentKey, Ephemeral
from appliance.audit.reading.month_keys import (
    MonthKeyError,
    MonthKeys,
    month_after,
    overdue,
    write_whole,
)
from appliance.errors import FormatError, VerificationError

WRAPPING = bytes(range(32))


def sealed_to(*public: bytes) -> tuple[ContentKey, bytes]:
    key = ContentKey.new()
    return key, key.seal(public, Ephemeral.new(0))


def test_what_was_sealed_in_any_month_opens(tmp_path: Path) -> None:
    keys = MonthKeys(tmp_path, WRAPPING)
    for month in ("2026-11", "2026-12"):
        _, sealed = sealed_to(b"h" * 32, keys.make(month))
        text = "Bonjour"
        assert MonthKeys(tmp_path, WRAPPING).open(sealed).commit("question", text)
    assert keys.months() == ["2026-11", "2026-12"]
    assert keys.make("2026-11") != keys.make("2026-12")
    assert keys.make("2026-11") == keys.make("2026-11")


def test_the_folder_alone_opens_nothing(tmp_path: Path) -> None:
    _, sealed = sealed_to(MonthKeys(tmp_path, WRAPPING).make("2026-11"))
    with pytest.raises(MonthKeyError):
        MonthKeys(tmp_path, b"x" * 32).open(sealed)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o400
    file.rename(tmp_path / "2026-12.key")
    with pytest.raises(MonthKeyError):
        MonthKeys(tmp_path, WRAPPING).open(sealed)
    (tmp_path / "2026-12.key").chmod(0o600)
    (tmp_path / "2026-12.key").write_bytes(b"short")
    with pytest.raises(MonthKeyError):
        MonthKeys(tmp_path, WRAPPING).open(sealed)


def test_what_was_sealed_to_others_or_is_no_key_does_not_open(tmp_path: Path) -> None:
    keys = MonthKeys(tmp_path, WRAPPING)
    keys.make("2026-11")
    with pytest.raises(VerificationError):
        keys.open(sealed_to(MonthKeys(tmp_path, WRAPPING).make("2026-11")[::-1])[1])
    with pytest.raises(FormatError):
        keys.open(b"nothing")


def test_a_destroyed_key_is_gone_and_was_overwritten(tmp_path: Path) -> None:
    keys = MonthKeys(tmp_path, WRAPPING)
    _, sealed = sealed_to(keys.make("2026-10"))
    keys.make("2026-11")
    (tmp_path / "copy").hardlink_to(tmp_path / "2026-10.key")
    keys.destroy("2026-10")
    assert keys.months() == ["2026-11"]
    assert not any((tmp_path / "copy").read_bytes())
    with pytest.raises(VerificationError):
        keys.open(sealed)


@pytest.mark.parametrize(
    ("now", "gone"),
    [
        ("2026-11", []), ("2027-05", []), ("2027-06", ["2026-10"]),
        ("2027-07", ["2026-10", "2026-11"]), ("2030-01", ["2026-10", "2026-11"]),
    ],
)  # fmt: skip
def test_a_key_goes_when_its_last_content_is_too_old(now: str, gone: list[str]) -> None:
    """The one in use never goes: a reader that slept for years still opens its last month."""
    assert overdue(["2026-10", "2026-11", "2026-12"], now, kept=6) == gone


def test_months_are_counted_over_the_years() -> None:
    assert month_after("2026-11", 1) == "2026-12"
    assert month_after("2026-11", 2) == "2027-01"
    assert month_after("2026-11", 60) == "2031-11"


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "public"
    for content in (b"one", b"two"):
        write_whole(path, content, 0o644)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["public"]

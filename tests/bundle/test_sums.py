import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.bundle.sums import parse, text
from appliance.errors import FormatError

ONE = {"VERIFY.sh": "0" * 64, "chunks/aa/x": "a" * 64, "bootstrap/a b.whl": "1" * 64}


def test_the_list_has_one_form() -> None:
    assert parse(text(ONE)) == ONE
    assert parse(b"") == {}


def test_stock_sha256sum_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a b").write_bytes(b"x")
    done = subprocess.run(["sha256sum", "a b"], cwd=tmp_path, capture_output=True, check=True)
    assert text(parse(done.stdout)) == done.stdout
    (tmp_path / "S").write_bytes(done.stdout)
    subprocess.run(["sha256sum", "--check", "--strict", "S"], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1],
        lambda t: t + t,
        lambda t: b"\n".join(reversed(t.splitlines())) + b"\n",
        lambda t: t.replace(b"  VERIFY", b" *VERIFY"),
        lambda t: t.replace(b"VERIFY.sh", b"../up"),
        lambda t: t.replace(b"VERIFY.sh", b"/etc/x"),
        lambda t: t.replace(b"0" * 64, b"0" * 63),
        lambda t: b"# comment\n" + t,
        lambda t: b"\xff" + t,
    ],
    ids=range(9),
)
def test_another_form_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(FormatError):
        parse(change(text(ONE)))


@settings(deadline=None)
@given(st.dictionaries(st.text("abc/", min_size=1, max_size=8), st.just("f" * 64)))
def test_what_is_written_is_read_or_refused_never_another(entries: dict[str, str]) -> None:
    try:
        found = parse(text(entries))
    except FormatError:
        return
    assert found == entries

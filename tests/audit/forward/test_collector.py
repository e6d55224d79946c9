"""The connection to the collector: whom it believes, and what its end says."""

import time
from pathlib import Path

import pytest

from appliance.audit.forward.collector import Link, Place
from tests.audit.forward.collectors import NAME, Authority, Collector, collecting


def place(
    authority: Authority, collector: Collector, name: str = NAME, wait: float = 5
) -> Place:
    files = authority.certificate, *authority.member("casemate.site.internal")
    return Place.of((name, collector.port), files, wait)


def hang(_: int) -> bool:
    """Read nothing for a while, then be gone."""
    time.sleep(2)
    return True


def test_the_end_is_a_receipt_for_all_that_was_sent(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        link = Link(place(authority, collector))
        for number in range(2_000):
            link.send(b"%d x%07d" % (8, number))
        link.end()
        assert len(collector.lines) == 2_000  # at once: nothing is waited for


def test_a_collector_that_answers_no_end_gives_no_receipt(tmp_path: Path) -> None:
    with collecting(tmp_path, answers=False) as (collector, authority):
        link = Link(place(authority, collector))
        link.send(b"1 x")
        with pytest.raises(OSError, match="EOF"):
            link.end()


def test_a_collector_that_stops_reading_gives_no_receipt(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        collector.on_bytes = hang
        link = Link(place(authority, collector, wait=0.3))
        link.send(b"1 x")
        with pytest.raises(OSError, match="timed out"):
            link.end()


def test_a_collector_that_takes_nothing_is_given_up_and_not_waited_for(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        collector.on_bytes = hang
        link = Link(place(authority, collector, wait=0.3))
        begun = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            link.send(b"1 x" * (32 << 20))
        assert time.monotonic() - begun < 1.8
        link.drop()


def test_a_collector_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        stranger = Authority(tmp_path / "other", "stranger")
        files = stranger.certificate, *authority.member("casemate.site.internal")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            Link(Place.of((NAME, collector.port), files, 5))
        assert collector.lines == []


def test_a_collector_with_another_name_is_not_believed(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        with pytest.raises(OSError, match="mismatch"):
            Link(place(authority, collector, name="127.0.0.1"))
        assert collector.lines == []


def test_a_collector_that_does_not_let_us_in_is_noticed(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        stranger = Authority(tmp_path / "other", "stranger")
        files = authority.certificate, *stranger.member("casemate.site.internal")
        link = Link(Place.of((NAME, collector.port), files, 5))
        time.sleep(0.2)  # TLS 1.3 tells it after the handshake
        with pytest.raises(OSError, match=r"(?i)unknown.ca|reset"):
            link.check()
        link.drop()


def test_a_collector_that_leaves_is_noticed_without_a_line(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        link = Link(place(authority, collector))
        link.check()
        collector.until(lambda: collector.connections == 1)
        link.check()
        collector.away()
        time.sleep(0.1)
        with pytest.raises(OSError, match=r"reset|ended"):
            link.check()
        link.drop()


def test_older_tls_is_not_spoken(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        older = collector._context
        older.minimum_version = older.minimum_version.TLSv1_2
        older.maximum_version = older.maximum_version.TLSv1_2
        with pytest.raises(OSError, match=r"(?i)version"):
            Link(place(authority, collector))


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    certificate, key = authority.member("x")
    with pytest.raises(OSError, match="No such file"):
        Place.of((NAME, 1), (tmp_path / "absent", certificate, key), 1)
    with pytest.raises(OSError, match=r"(?i)mismatch"):
        Place.of((NAME, 1), (authority.certificate, certificate, authority.member("y")[1]), 1)

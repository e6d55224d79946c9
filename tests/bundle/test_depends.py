import subprocess
from itertools import pairwise, product

import pytest

from appliance.bundle.depends import compare, unmet

ORDERED = ["0~~", "0~", "0", "1.0~rc1", "1.0", "1.0-1", "1.0-1+b1", "1.0a", "1.0+b", "1.0.1",
           "1.10", "580.95.05-1", "1:0.1", "2:0"]  # fmt: skip


def test_versions_are_ordered_as_debian_orders_them() -> None:
    for left, right in product(range(len(ORDERED)), repeat=2):
        wanted = (left > right) - (left < right)
        assert compare(ORDERED[left], ORDERED[right]) == wanted, (left, right)


@pytest.mark.parametrize(("left", "right"), [("1.00", "1.0"), ("0:1", "1"), ("1-0", "1")])
def test_versions_that_are_written_otherwise_are_the_same(left: str, right: str) -> None:
    assert compare(left, right) == compare(right, left) == 0


def paragraph(name: str, version: str = "1", **fields: str) -> dict[str, str]:
    return {"Package": name, "Version": version, **fields}


@pytest.mark.parametrize(
    ("depends", "met"),
    [
        ("bb", True),
        ("cc", False),
        ("cc | bb", True),
        ("bb (>= 2.0)", True),
        ("bb (>> 2.0)", False),
        ("bb (<< 2.0~)", False),
        ("bb (= 2.0), vv", True),
        ("vv (>= 3)", True),
        ("vv (>= 4)", False),
        ("ww", True),
        ("ww (>= 1)", False),
        ("bb:any", True),
        ("not a relation!", False),
    ],
)
def test_what_a_package_wants_is_there_or_is_named(depends: str, met: bool) -> None:  # noqa: FBT001
    there = paragraph("bb", "2.0", Provides="vv (= 3), ww")
    found = unmet([paragraph("a", Depends=depends), there])
    assert (not found) == met
    assert all(one.startswith("a: ") for one in found)


def test_what_is_wanted_first_counts_too() -> None:
    assert unmet([paragraph("a", **{"Pre-Depends": "bb"})]) == ["a: bb"]


def test_the_stock_dpkg_agrees() -> None:
    for left, right in pairwise(ORDERED):
        subprocess.run(["dpkg", "--compare-versions", left, "lt", right], check=True)

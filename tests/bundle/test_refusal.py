import pytest

from appliance.bundle.chunks import Fault
from appliance.bundle.reading import Finding, FindingsError
from appliance.bundle.refusal import BundleError, DamagedError, UntrustedError
from appliance.errors import CODES


@pytest.mark.parametrize(
    ("kind", "code"), [(BundleError, 1), (DamagedError, 3), (UntrustedError, 4)]
)
def test_the_kind_of_a_refusal_is_its_exit_code(kind: type[BundleError], code: int) -> None:
    refused = kind("CM-INS-11", "absent", "missing")
    assert (refused.exit_code, refused.code) == (code, "CM-INS-11")
    assert str(refused) == "CM-INS-11 absent\nmissing"


def test_findings_are_refused_as_damage() -> None:
    found = FindingsError([Finding("chunks/aa/x", "2/3", Fault.MISSING)], [2])
    assert (found.exit_code, found.absent) == (3, [2])


def test_each_code_of_bundles_is_explained() -> None:
    assert {f"CM-INS-{n:02}" for n in range(1, 16)} <= CODES.keys()

"""What is expected of the scans of BP-028, and how two of them are compared."""

import pytest

from appliance.install.container import PACKAGES
from tests.rehearsal import scan
from tests.rehearsal.machine import RehearsalError

SAID = """--- Starting Evaluation ---
Title\tOne
Rule\txccdf_org.ssgproject.content_rule_one
Result\tpass

Title\tTwo
Rule\txccdf_org.ssgproject.content_rule_two
E: a word of the scanner
Result\tfail

Rule\txccdf_org.ssgproject.content_rule_three
Result\tnotapplicable
"""
FLIPS = scan.FLIPS.read_text("utf-8").split()
PATTERNS = {**scan.waived(), "container": scan.contained()}
# A site as it should be: what must flip does, what is waived fails.
FAILING = [one.replace("*", "x") for some in PATTERNS.values() for one in some]
BEFORE = dict.fromkeys(FLIPS, "fail")
AFTER = dict.fromkeys(FLIPS, "pass") | dict.fromkeys(FAILING, "fail")


def test_each_verdict_is_read_also_with_words_of_the_scanner_between() -> None:
    found = scan.verdicts(SAID)
    assert found == {"one": "pass", "two": "fail", "three": "notapplicable"}
    assert list(scan.counts(found).values()) == [1, 1, 1, 0, 0]


def test_a_scan_that_measured_nothing_is_refused() -> None:
    with pytest.raises(RehearsalError, match="measured nothing"):
        scan.verdicts(SAID.replace("pass", "notapplicable").replace("fail", "notapplicable"))


def test_the_bare_machine_of_the_scan_has_what_a_kernel_brings() -> None:
    """Without this package 131 rules of the content apply to no machine."""
    assert "linux-base" in PACKAGES.split(",")


def test_the_first_process_finds_what_it_needs_to_keep_ports_from_units() -> None:
    """It looks for libbpf when it starts: installed later, `SocketBindDeny=` does nothing."""
    assert "iproute2" in PACKAGES.split(",")


def test_more_than_forty_rules_must_flip_and_none_of_them_is_waived() -> None:
    assert len(FLIPS) > 40
    for some in PATTERNS.values():
        assert not scan.named(some, FLIPS)


def test_a_site_as_it_should_be_has_no_fault() -> None:
    assert scan.compare(BEFORE, AFTER) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param({}, {FLIPS[0]: "notchecked"}, "then notchecked", id="it did not flip"),
        pytest.param({FLIPS[0]: "pass"}, {}, "pass, then pass", id="it passed before"),
        pytest.param({}, {"of_nobody": "fail"}, "nobody answers", id="a failure of nobody's"),
        pytest.param({}, {"of_nobody": "error"}, "nobody answers", id="an error"),
        pytest.param({}, {FAILING[0]: "pass"}, "waives nothing", id="a waiver without a rule"),
    ],
)
def test_what_is_not_as_it_must_be_is_a_fault(
    before: dict[str, str], after: dict[str, str], said: str
) -> None:
    (fault,) = scan.compare({**BEFORE, **before}, {**AFTER, **after})
    assert said in fault


def test_a_container_is_spared_the_keys_of_its_host_and_no_other() -> None:
    keys = [rule for rule in scan.contained() if rule.startswith("sysctl_")]
    assert "sysctl_kernel_kptr_restrict" in keys
    assert not [rule for rule in keys if rule.startswith("sysctl_net_ipv")]

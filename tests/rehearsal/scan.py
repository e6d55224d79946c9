"""OpenSCAP with the profile « enhanced » of ANSSI-BP-028, on the bare machine and on the site.

The scanner stands beside the machine and is put in for the time of a scan, so that what is
measured is not changed by the measure. Rules that must flip are named in a file; each that
still fails is waived by a line of `playbooks/waivers.yml`, or no container can have it.
"""

import fnmatch
import json
import lzma
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.machine import Machine, RehearsalError, call

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "openscap"
CONTENT = DATA / "ssg-debian13-ds-0.1.82.xml.xz"
FLIPS = DATA / "must-flip.txt"
WAIVERS = ROOT / "playbooks" / "waivers.yml"
PROFILE = "xccdf_org.ssgproject.content_profile_anssi_bp28_enhanced"
RULE = re.compile(
    r"^Rule\s+xccdf_org\.ssgproject\.content_rule_(\S+)\s.*?^Result\s+(\w+)$",
    re.MULTILINE | re.DOTALL,
)
COUNTED = ("pass", "fail", "notapplicable", "notchecked", "error")
PLACE = "opt/scanner"
SCAN = f"""
at=/{PLACE}
LD_LIBRARY_PATH=$at/usr/lib/x86_64-linux-gnu OSCAP_SCHEMA_PATH=$at/usr/share/openscap/schemas \\
OSCAP_XSLT_PATH=$at/usr/share/openscap/xsl OSCAP_CPE_PATH=$at/usr/share/openscap/cpe \\
  $at/usr/bin/oscap xccdf eval --profile {PROFILE} $at/content.xml 2>/dev/null | tr '\\r' '\\n'
"""
KEYS = ROOT / "playbooks/roles/hardening/vars/main.yml"
# What no container has: the boot loader, services that need a kernel of their own.
CONTAINER = (
    "apparmor_configured", "grub2_enable_apparmor", "prefer_64bit_os", "service_auditd_enabled",
    "service_chronyd_or_ntpd_enabled",
)  # fmt: skip


def verdicts(said: str) -> dict[str, str]:
    """Read what the scanner printed: rule -> verdict.

    Raises:
        RehearsalError: Nothing was measured: that looks green, and is not.
    """
    found = dict(RULE.findall(said))
    if not {"pass", "fail"} <= set(found.values()):
        raise RehearsalError(f"the scan measured nothing: {Counter(found.values())}")
    return found


def counts(found: Mapping[str, str]) -> dict[str, int]:
    """Return the five counts."""
    number = Counter(found.values())
    return {verdict: number[verdict] for verdict in COUNTED}


def waived() -> dict[str, list[str]]:
    """Return the patterns of rules that somebody answers for, by control."""
    listed = yaml.safe_load(WAIVERS.read_text("utf-8"))["hardening_waivers"]
    return {one["control"]: one.get("rules", []) for one in listed}


def contained() -> list[str]:
    """Return the rules that a container may fail: also the keys that its host alone can set."""
    keys = yaml.safe_load(KEYS.read_text("utf-8"))["__hardening_kernel_keys"]
    return [*CONTAINER, *(f"sysctl_{key.replace('.', '_')}" for key in keys)]


def named(patterns: Iterable[str], rules: Iterable[str]) -> set[str]:
    """Return the rules that a pattern names."""
    patterns = list(patterns)
    return {rule for rule in rules if any(fnmatch.fnmatch(rule, p) for p in patterns)}


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return what is not as it must be: a rule that did not flip, a failure of nobody's."""
    faults = [
        f"{rule}: {before.get(rule)}, then {after.get(rule)}"
        for rule in FLIPS.read_text("utf-8").split()
        if before.get(rule) == "pass" or after.get(rule) != "pass"
    ]
    failing = {rule for rule, verdict in after.items() if verdict in {"fail", "error"}}
    patterns = {**waived(), "container": contained()}
    answered = {rule for some in patterns.values() for rule in named(some, failing)}
    faults += [
        f"{rule}: fails, and nobody answers for it" for rule in sorted(failing - answered)
    ]
    faults += [
        f"{control}: {pattern} waives nothing"
        for control, some in waived().items()
        for pattern in some
        if not named([pattern], failing)
    ]
    return faults


def scanner(cache: Path, tree: Path) -> Path:
    """Return the scanner and its libraries, fetched once beside the bare system.

    Args:
        cache: Folder that holds it.
        tree: Bare system, which says where packages come from and what it has.
    """
    kept, whole = cache / "scanner", cache / "scanner.whole"
    if not whole.exists():
        shutil.rmtree(kept, ignore_errors=True)
        for name in ("apt/lists/partial", "apt/archives/partial"):
            (kept / name).mkdir(parents=True)
        options = {
            "Dir::Etc::sourcelist": tree / "etc/apt/sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::trustedparts": tree / "etc/apt/trusted.gpg.d",
            "Dir::State::lists": kept / "apt/lists", "Dir::Cache": kept / "apt",
            "Dir::Cache::archives": kept / "apt/archives",
            "Dir::State::status": tree / "var/lib/dpkg/status", "APT::Sandbox::User": "root",
        }  # fmt: skip
        apt = [
            "apt-get",
            *(f"-o{key}={to}" for key, to in options.items()),
        ]
        call(*apt, "update", timeout=300)
        wanted = ("--no-install-recommends", "--download-only", "--yes", "install")
        call(*apt, *wanted, "openscap-scanner", timeout=600)
        for deb in sorted((kept / "apt/archives").glob("*.deb")):
            call("dpkg", "-x", deb, kept)
        shutil.rmtree(kept / "apt")
        whole.touch()
    return kept


def scan(box: Machine, kept: Path) -> dict[str, str]:
    """Scan the machine as it is; return the verdicts.

    Args:
        box: Running.
        kept: Scanner, of the function above.
    """
    place = box.root / PLACE
    shutil.copytree(kept, place, symlinks=True)
    (place / "content.xml").write_bytes(lzma.decompress(CONTENT.read_bytes()))
    try:
        return verdicts(box.run("sh", "-c", SCAN, timeout=300).stdout)
    finally:
        shutil.rmtree(place)


def bare(box: Machine, cache: Path) -> dict[str, Any]:
    """Scan the machine before anything of ours is in it, and keep the verdicts beside it."""
    found = scan(box, scanner(cache, box.tree))
    (box.folder / "scan.json").write_text(json.dumps(found), "utf-8")
    return {"before": counts(found)}


def hardened(box: Machine, cache: Path) -> dict[str, Any]:
    """Scan the site, and compare it with the bare machine.

    Raises:
        RehearsalError: A rule did not flip, or fails with nobody who answers for it.
    """
    before = json.loads((box.folder / "scan.json").read_text("utf-8"))
    after = scan(box, scanner(cache, box.tree))
    if faults := compare(before, after):
        raise RehearsalError(f"{len(faults)}: {'; '.join(faults[:40])}")
    flipped = [rule for rule in after if before.get(rule) != "pass" and after[rule] == "pass"]
    failing = [rule for rule, verdict in after.items() if verdict == "fail"]
    return {
        "before": counts(before), "after": counts(after), "flipped": len(flipped),
        "waived": {control: sorted(named(some, failing)) for control, some in waived().items()},
        "container": sorted(named(contained(), failing)),
    }  # fmt: skip

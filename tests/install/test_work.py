import hashlib
import json
import stat
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped]
import pytest

from appliance.audit.exported import verifier_digest
from appliance.audit.receipt import page_digest
from appliance.errors import ApplianceError
from appliance.install import seal
from appliance.install import work as work_module
from appliance.install.chain import read
from appliance.install.phases import BY_NAME, PHASES, Phase, opened
from appliance.install.preflight import NotReadyError
from appliance.install.record import Record
from appliance.install.report import Facts
from appliance.install.telephone import Fault
from appliance.install.work import NOBODY, SAMPLE, StoppedError, Work, body, fault_of
from appliance.printing.typeset import PrintingError
from tests.install.stage import CANARY, PLAYBOOKS, RELEASE, SCRIPT, Stage, task

STATE = opened(None, RELEASE)
EXCUSED = {"level": "warn", "overridden": True}  # as the playbook hands it over
LUKS = {"id": "luks", "level": "fail", "title": "Chiffrement", "message": "disque en clair"}


def everything(work: Work) -> None:
    for phase in PHASES:
        work.do(phase, STATE)


def entries(stage: Stage) -> list[dict[str, object]]:
    return list(read(Record(stage.places.install).journal))


def flat(pdf: Path) -> str:
    """Return the text of a PDF without white space."""
    with pypdfium2.PdfDocument(pdf) as document:
        pages = [page.get_textpage().get_text_bounded() for page in document]
    return "".join("".join(pages).replace("\ufffe", "").split())


def test_each_playbook_runs_with_its_own_roles(stage: Stage) -> None:
    everything(stage.work())
    tags = [
        call["argv"][call["argv"].index("--tags") + 1] if "--tags" in call["argv"] else ""
        for call in stage.calls()
    ]
    assert tags == [",".join(phase.roles) for phase in PLAYBOOKS]
    ran = [call["argv"][-1].rsplit("/", 1)[1] for call in stage.calls()]
    assert ran == [phase.playbook for phase in PLAYBOOKS]


def test_the_journal_holds_each_phase_with_its_tasks(stage: Stage) -> None:
    work = stage.work()
    work.do(BY_NAME["system"], STATE)
    assert [entry["event"] for entry in entries(stage)] == [
        "phase.start", "sample", "task", "task", "phase.done",
    ]  # fmt: skip
    assert work.changed == 1
    assert stage.said[-1].endswith("1 modification(s)")


def test_a_failed_task_stops_the_phase_and_is_named(stage: Stage) -> None:
    broken = task("Start it", "failed", role="keycloak", message="port is taken")
    stage.play({"site.yml": {"events": [task("Read"), broken], "status": 2}})
    with pytest.raises(StoppedError, match="port is taken") as caught:
        stage.work().do(BY_NAME["data"], STATE)
    assert caught.value.fault == Fault(BY_NAME["data"], "keycloak", "Start it")
    assert "phase.done" not in {entry["event"] for entry in entries(stage)}


def test_a_playbook_that_ends_without_a_task_is_named_by_its_status(stage: Stage) -> None:
    stage.play({"verify.yml": {"status": 4}})
    with pytest.raises(StoppedError) as caught:
        stage.work().do(BY_NAME["verify"], STATE)
    assert caught.value.fault == Fault(BY_NAME["verify"], "", "verify.yml 4")


def test_a_check_of_the_playbook_that_fails_stops_and_is_written_down(stage: Stage) -> None:
    stage.play({"preflight.yml": {"events": [task("Look", casemate_check=LUKS)]}})
    with pytest.raises(NotReadyError, match="disque en clair"):
        stage.work().do(BY_NAME["preflight"], STATE)
    checks = [entry["id"] for entry in entries(stage) if entry["event"] == "check"]
    assert checks == ["luks"]


def test_an_override_goes_to_the_report_with_reason_and_operator(stage: Stage) -> None:
    told = [{**LUKS, **EXCUSED}]
    stage.play({**SCRIPT, "preflight.yml": {"events": [task("Look", casemate_checks=told)]}})
    everything(stage.work(overrides=[{"check": "luks", "reason": "Baie scellée"}]))
    page = (stage.places.reports / "report.md").read_text()
    assert "- luks : C. Vasseur, motif : Baie scellée" in page


def test_the_inventory_is_written_before_the_first_playbook(stage: Stage) -> None:
    stage.work().do(BY_NAME["preflight"], STATE)
    site = json.loads(stage.places.inventory.read_text())["all"]["children"]["site"]
    assert site["hosts"]["casemate"]["casemate_seq"] == RELEASE.release_seq
    assert site["hosts"]["casemate"]["casemate_not_before"] == stage.bundle.created
    assert site["hosts"]["casemate"]["ansible_python_interpreter"].endswith("bin/python")
    before = stage.places.inventory.stat().st_mtime_ns
    stage.work().do(BY_NAME["verify"], STATE)
    assert stage.places.inventory.stat().st_mtime_ns == before


def test_the_sample_site_never_replaces_one_that_is_there(stage: Stage) -> None:
    stage.places.settings.mkdir(parents=True)
    stage.places.declared.write_text("# ours\n")
    stage.work().do(BY_NAME["system"], STATE)
    assert stage.places.declared.read_text() == "# ours\n"


def test_the_report_says_that_the_sample_site_was_taken(stage: Stage) -> None:
    everything(stage.work())
    facts = Facts.parse((stage.places.reports / "report.json").read_bytes())
    assert SAMPLE in facts.not_measured


@pytest.mark.parametrize("roles", [None, '["rssi"]', '["administrateur"]'])
@pytest.mark.parametrize("administrator", ["", "a-martin"])
def test_the_report_says_when_nobody_can_administer_accounts(
    stage: Stage, roles: str | None, administrator: str
) -> None:
    people = f'[[people]]\nusername = "sam"\nroles = {roles}\n' if roles else ""
    stage.places.settings.mkdir(parents=True)
    stage.places.declared.write_text(f"ungrounded = false\n{people}")
    everything(stage.work(administrator=administrator))
    facts = Facts.parse((stage.places.reports / "report.json").read_bytes())
    named = bool(administrator) or "administrateur" in (roles or "")
    assert (NOBODY in facts.not_measured) is not named


def test_the_report_is_signed_and_tied_to_its_facts(stage: Stage) -> None:
    everything(stage.work(media=[{"serial": "S-0042", "handed_by": "A. Martin"}]))
    folder = stage.places.reports
    public = seal.public_line(stage.places.key)
    for name in ("report.json", "report.md", "report.pdf"):
        seal.verify(folder / name, folder / f"{name}.sig", public)
    facts = Facts.parse((folder / "report.json").read_bytes())
    digest = hashlib.sha256((folder / "report.json").read_bytes()).hexdigest()
    assert digest in (folder / "report.md").read_text()
    assert digest in flat(folder / "report.pdf")
    assert public in [mark.value for mark in facts.marks]
    assert (facts.media[0].label, facts.media[0].serial) == ("1/1", "S-0042")
    assert [lap.number for lap in facts.laps] == list(range(1, 11))
    assert facts.egress[0].positive_control
    assert (folder / "site.pub").read_text().startswith("ssh-ed25519 ")
    assert stat.S_IMODE(stage.places.key.stat().st_mode) == 0o400


def test_an_installation_stands_without_its_pdf(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(stage.work())
    folder = stage.places.reports
    assert stage.places.paper.name == "report.pdf"

    def fails(*_: object) -> bytes:
        raise PrintingError("no room")

    monkeypatch.setattr(work_module, "typeset", fails)
    everything(stage.work())
    assert stage.places.paper.name == "report.md"
    assert {path.name for path in folder.iterdir()} == {
        "report.json", "report.json.sig", "report.md", "report.md.sig", "site.pub",
    }  # fmt: skip
    assert "unprinted" in [entry["event"] for entry in entries(stage)]


def test_the_head_of_the_journal_is_in_the_report(stage: Stage) -> None:
    everything(stage.work())
    facts = Facts.parse((stage.places.reports / "report.json").read_bytes())
    lines = Record(stage.places.install).journal.splitlines()
    last = lines[facts.journal_lines - 1]
    assert facts.journal_head == hashlib.sha256(last).hexdigest()


def test_keys_of_the_log_and_of_the_authority_are_in_the_report(stage: Stage) -> None:
    stage.places.authority.parent.mkdir(parents=True)
    stage.places.authority.write_text("-----BEGIN CERTIFICATE-----\n")
    stage.places.log_key.write_text("atelier/log+01234567+AAAA\natelier/log+76543210+BBBB\n")
    everything(stage.work())
    facts = Facts.parse((stage.places.reports / "report.json").read_bytes())
    values = [mark.value for mark in facts.marks]
    assert {"atelier/log+01234567+AAAA", "atelier/log+76543210+BBBB"} <= set(values)
    assert hashlib.sha256(stage.places.authority.read_bytes()).hexdigest() in values
    assert {verifier_digest(), page_digest()} <= set(values)  # of the programs for auditors


def test_the_signed_log_hears_of_each_phase_before_the_report(stage: Stage) -> None:
    everything(stage.work())
    assert [fact.data["phase"] for fact in stage.told] == [
        *(phase.french for phase in PHASES[:10]), "installation",
    ]  # fmt: skip


def test_no_secret_of_a_task_reaches_the_journal_the_report_or_a_command_line(
    stage: Stage,
) -> None:
    planted = ["hunter2-message", "hunter2-result"]
    events = [
        task("Change", "changed", diff=planted[1], result=planted[1]),
        task("Fail", "failed", message=planted[0]),
    ]
    stage.play({**SCRIPT, "site.yml": {"events": events, "status": 2}})
    with pytest.raises(StoppedError):
        stage.work().do(BY_NAME["system"], STATE)
    stage.play({**SCRIPT, "egress_proof.yml": {"events": [task("x", casemate_egress=CANARY)]}})
    everything(stage.work())
    held = b"".join(stage.everything().values())
    assert [one for one in planted if one.encode() in held] == []
    key = b"".join(stage.places.key.read_bytes().split(b"\n")[1:-2])
    others = {n: c for n, c in stage.everything().items() if not n.endswith("report-key")}
    assert not any(key in content.replace(b"\n", b"") for content in others.values())
    spoken = json.dumps([call["argv"] for call in stage.calls()]) + json.dumps(stage.said)
    assert not any(one in spoken for one in planted)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_any_phase_may_be_done_twice(stage: Stage, phase: Phase) -> None:
    work = stage.work()
    for one in PHASES[: PHASES.index(phase) + 1]:
        work.do(one, STATE)
    work.do(phase, STATE)
    if phase.name == "report":
        public = seal.public_line(stage.places.key)
        for name in ("report.md", "report.pdf"):
            report = stage.places.reports / name
            seal.verify(report, report.with_name(f"{name}.sig"), public)


def test_a_fault_outside_a_playbook_is_its_code() -> None:
    error = NotReadyError("no room")
    assert fault_of(PHASES[0], error) == Fault(PHASES[0], "", "CM-INS-65")
    assert body(error) == {"error": "CM-INS-65"}
    stopped: ApplianceError = StoppedError(Fault(PHASES[4], "pki", "Write"), "hunter2")
    assert fault_of(PHASES[0], stopped) == Fault(PHASES[4], "pki", "Write")
    assert body(stopped) == {}

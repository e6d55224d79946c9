"""Does the phases, and writes down what each of them found.

Every event goes through the journal before it is shown. A phase may be done again after a power
cut: each of its steps is idempotent or atomic.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import msgspec

from appliance.audit.exported import verifier_digest
from appliance.audit.receipt import page_digest
from appliance.errors import ApplianceError
from appliance.install import chain, logged, playbook, preflight, printed, screen, seal
from appliance.install.answers import Answers
from appliance.install.inventory import inventory, variables
from appliance.install.machine import observe
from appliance.install.phases import Phase, Release, State
from appliance.install.places import Places
from appliance.install.playbook import Event
from appliance.install.preflight import Check
from appliance.install.record import Record, replace_file
from appliance.install.report import (
    Carried,
    Facts,
    Mark,
    names_administrator,
    not_measured,
    page,
    told,
)
from appliance.install.telephone import Fault
from appliance.install.verbs import Measured, controller_of
from appliance.printing.typeset import PrintingError, Template, typeset

PAPER = Template.of("appliance.install", "report.typ")
KEPT_OF_TASK = ("role", "task", "host", "outcome", "milliseconds")
NOBODY = "aucun premier administrateur des comptes : personne n’entre dans leur administration"
SAMPLE = "le site déclaré est l’exemple de la livraison : à remplacer"


class Bundle(Protocol):
    """The release to install, on media or already in the store."""

    release: Release
    created: int  # seconds since 1970
    size: int  # bytes that are not yet in the store

    def verify(self) -> None:
        """Check that it is whole and signed by whom this site trusts."""
        ...

    def bring(self) -> None:
        """Copy it into the store, and make the tree of the release."""
        ...

    def media(self) -> Sequence[str]:
        """Return the labels of the media that were read."""
        ...

    def marks(self) -> Sequence[Mark]:
        """Return the fingerprints of the root of trust."""
        ...


class StoppedError(ApplianceError):
    """A playbook failed. `fault` says where; the message is for the screen only."""

    code = "CM-INS-67"

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


@dataclass(slots=True)
class Work:
    """One start of an installation."""

    places: Places
    record: Record
    answers: Answers
    bundle: Bundle
    say: Callable[[str], None]  # to the engineer
    language: screen.Language
    lock: int
    tell: Callable[[Path, Sequence[Any]], None] = logged.tell
    changed: int = 0  # tasks that changed something, in all
    _measured: Measured = field(default_factory=Measured)

    def do(self, phase: Phase, state: State) -> None:
        """Run a phase, whole.

        Raises:
            ApplianceError: It failed.
        """
        self.say(screen.begins(phase, self.language))
        self.record.note("phase.start", {"phase": phase.name, "start": state.starts})
        began, self._measured = time.monotonic(), Measured()
        if phase.playbook:
            self._play(phase)
        elif phase.name == "report":
            self._report(state)
        else:
            own = {"checks": self._observe, "media": self.bundle.verify,
                   "import": self.bundle.bring, "commit": self._commit}  # fmt: skip
            own[phase.name]()
        seconds = time.monotonic() - began
        self.record.note(
            "phase.done", {"phase": phase.name, "milliseconds": int(seconds * 1000)}
        )
        changed = self._measured.changed if phase.playbook else None
        self.changed += self._measured.changed
        self.say(screen.ends(round(seconds), changed, self.language))

    def _observe(self) -> None:
        facts = observe(
            self.places.data, self.answers.profile, self.bundle.created, self.bundle.size
        )
        self._judge(list(preflight.checks(facts)))

    def _judge(self, found: Sequence[Check]) -> None:
        """Write down and show checks; refuse the failed ones that nobody took over."""
        for check in found:
            self.record.note("check", msgspec.to_builtins(check))
            self.say(screen.checked(check))
        for one in preflight.taken(found, self.answers.overrides, self.answers.operator):
            self.record.note("override", msgspec.to_builtins(one))

    def _commit(self) -> None:
        """Nothing is left but the state, which the caller writes."""

    def _play(self, phase: Phase) -> None:
        self._prepare()
        number = self.bundle.release.release_seq
        controller = controller_of(self.places, number, self.lock)
        measured = self._measured = Measured()
        measured.status = playbook.run(controller, phase.playbook, phase.roles, self._heard)
        if measured.checks:
            self._judge(measured.checks)
        if measured.status != 0:
            role, task = measured.failed.get("role", ""), measured.failed.get("task", "")
            fault = Fault(phase, role, task or f"{phase.playbook} {measured.status}")
            raise StoppedError(fault, str(measured.failed.get("message", "")))

    def _heard(self, event: Event) -> None:
        """Take in an event of the callback plugin: names and outcomes, never a message."""
        before = len(self._measured.egress)
        self._measured.take(event)
        if event["kind"] == "task":
            self.record.note("task", {name: event[name] for name in KEPT_OF_TASK})
        for canary in self._measured.egress[before:]:
            self.record.note("egress", msgspec.to_builtins(canary))

    def _prepare(self) -> None:
        """Write what the playbooks know of the site, where it differs."""
        declared = self.answers.site_toml or str(self.places.declared)
        if not Path(declared).exists() and declared == str(self.places.declared):
            sample = files("appliance.site").joinpath("sample/site.toml").read_bytes()
            self.places.settings.mkdir(mode=0o755, parents=True, exist_ok=True)
            replace_file(self.places.declared, sample, 0o640)
            self.record.note("sample", {"file": declared})
        values = variables(self.answers, self.bundle.release, declared, self.bundle.created)
        interpreter = str(self.places.controller / "bin/python")
        wanted = inventory(values, interpreter)
        path = self.places.inventory
        if not path.exists() or path.read_bytes() != wanted:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            replace_file(path, wanted)

    def _report(self, state: State) -> None:
        """Tell the signed log, then write and sign the report."""
        release = self.bundle.release
        entries = list(chain.read(self.record.journal))
        found = told(entries, release)
        self.tell(
            self.places.recorder, logged.events(release, found.laps, self.record.head.digest)
        )
        open_ = not_measured(self.answers.profile, found.checks, found.egress)
        if any(entry["event"] == "sample" for entry in entries):
            open_.append(SAMPLE)
        if not self._administered():
            open_.append(NOBODY)
        key = seal.site_key(self.places.key)
        facts = Facts(
            made=_utc(time.time()), operator=self.answers.operator,
            site_name=self.answers.site_name, marking=self.answers.marking,
            domain=self.answers.domain, profile=self.answers.profile, release=release,
            bundle_created=_utc(self.bundle.created), starts=state.starts,
            media=self._media(), marks=self._marks(key), laps=found.laps, tally=found.tally,
            checks=found.checks, overrides=found.overrides, egress=found.egress,
            not_measured=tuple(open_), journal_lines=self.record.head.lines,
            journal_head=self.record.head.digest,
        )  # fmt: skip
        self._seal(facts, key)

    def _administered(self) -> bool:
        declared = Path(self.answers.site_toml or self.places.declared)
        return bool(self.answers.administrator) or names_administrator(
            declared.read_text("utf-8")
        )

    def _seal(self, facts: Facts, key: Path) -> None:
        folder = self.places.reports
        folder.mkdir(mode=0o755, exist_ok=True)
        text = facts.text()
        digest = hashlib.sha256(text).hexdigest()
        made = {"report.json": text, "report.md": page(facts, digest)}
        try:
            made["report.pdf"] = typeset(PAPER, printed.report(facts, digest))
        except PrintingError as exc:  # the site stands; the same words are in the other two
            self.record.note("unprinted", {"error": exc.code})
            for stale in ("report.pdf", "report.pdf.sig"):
                (folder / stale).unlink(missing_ok=True)
        for name, content in made.items():
            replace_file(folder / name, content, 0o444)
            seal.sign(key, folder / name)
        replace_file(folder / "site.pub", seal.public(key).read_bytes(), 0o444)
        self.record.note("report", {"sha256": digest})

    def _media(self) -> tuple[Carried, ...]:
        labels, declared = list(self.bundle.media()), self.answers.media
        labels += ["?"] * (len(declared) - len(labels))
        rows = [*declared, *[None] * (len(labels) - len(declared))]
        return tuple(
            Carried(label=label, **(row.model_dump() if row else {}))
            for label, row in zip(labels, rows, strict=True)
        )

    def _marks(self, key: Path) -> tuple[Mark, ...]:
        own = [
            Mark(name="clé du site (signe ce procès-verbal)", value=seal.public_line(key)),
            Mark(name="son empreinte", value=seal.fingerprint(seal.public(key))),
        ]
        if self.places.log_key.exists():
            lines = self.places.log_key.read_text("utf-8").splitlines()
            own += [  # both keys, as `audit init` writes them; an older log has the first only
                Mark(name=f"clé de vérification du journal signé ({kind})", value=line)
                for kind, line in zip(("Ed25519", "ECDSA P-256"), lines, strict=False)
            ]
            own.append(Mark(name="SHA-256 de verify.py (exports)", value=verifier_digest()))
            own.append(Mark(name="SHA-256 de verify_receipt.py (reçus)", value=page_digest()))
        if self.places.authority.exists():
            digest = hashlib.sha256(self.places.authority.read_bytes()).hexdigest()
            own.append(Mark(name="SHA-256 du certificat de l’autorité (PEM)", value=digest))
        return (*self.bundle.marks(), *own)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def fault_of(phase: Phase, error: ApplianceError) -> Fault:
    """Return where an installation stopped."""
    return error.fault if isinstance(error, StoppedError) else Fault(phase, "", error.code)


def body(error: ApplianceError) -> Mapping[str, str]:
    """Return what the journal keeps of a failure: no output of a task."""
    return {} if isinstance(error, StoppedError) else {"error": error.code}

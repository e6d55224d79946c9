"""Exports to learn on: one that is whole, and copies of it that were tampered with.

    DIR/  POLITIQUE  verify.py  A-LIRE.txt  1-intact/  2-…/  note-gardee.note

The log is invented: made here, with keys of its own, of a few hundred records. Each copy is one
row of the attack table; what its verification has to say is in A-LIRE.txt, and tested.
"""

import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.audit import contents, publisher
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.contents import Order
from appliance.audit.cosignature import WitnessKey
from appliance.audit.event import (
    NO_TEXT,
    BudgetChange,
    Completion,
    Event,
    Intent,
    Kind,
    Leaf,
    fact,
)
from appliance.audit.export import export
from appliance.audit.exported import verifier
from appliance.audit.key import SEED_BYTES, Signer, keys_text, scalar_from
from appliance.audit.note import Note, sign
from appliance.audit.policy import Log, Policy, Witness
from appliance.audit.tree import Frontier, leaf_hash
from appliance.audit.volume import VERIFIER_KEY
from appliance.errors import ApplianceError

ORIGIN = "exercice.invalid/journal"
SIZE, WITNESSED, VICTIM = 300, 290, 140  # records; the last that a witness saw; the one changed
_STEP = 20_000_000  # microseconds between two records
_SCALAR_BYTES = 40


class TrainingError(ApplianceError):
    """The exports to learn on cannot be written; the message says why."""

    code = "CM-JRN-25"


@dataclass(frozen=True, slots=True)
class Exercise:
    """A copy, and what its verification has to say."""

    folder: str
    done: str  # French: what was done to it
    more: tuple[str, ...]  # options of the verification
    exit_code: int
    said: str  # code of the fault or remark


EXERCISES = (
    Exercise("1-intact", "rien n’a été changé", (), 0, "—"),
    Exercise(
        "2-evenement", f"un chiffre de l’événement {VICTIM}, sommes refaites", (), 1, "E_LEAF"
    ),
    Exercise("3-tout-refait", "le même, et tout l’arbre refait, sans la clé", (), 1, "E_ROOT"),
    Exercise("4-autre-cle", "le même, signé avec une autre clé", (), 1, "E_SIG"),
    Exercise("5-tableur", "une ligne de events.csv", (), 1, "E_DERIVED"),
    Exercise("6-retour", "un état plus ancien, authentique : rien ne se voit…", (), 0, "—"),
    Exercise(
        "6-retour", "… sauf avec la note gardée ailleurs",
        ("--anchor", "note-gardee.note"), 1, "E_ROLLBACK",
    ),
    Exercise(
        "7-cle-volee", "réécrit avec la clé, après le dernier ancrage : indécelable, et dit",
        (), 3, "W_UNANCHORED_TAIL",
    ),
    Exercise(
        "8-cle-volee", "réécrit avec la clé, sous un ancrage", ("--anchor", "note-gardee.note"),
        1, "E_FORK",
    ),
)  # fmt: skip


class _Site:
    """An invented log, its keys, its witness."""

    def __init__(self, folder: Path, start: int) -> None:
        self._folder, self._start = folder, start
        self.signer = _signer()
        self.witness = WitnessKey("temoin.invalid/rssi", secrets.token_bytes(SEED_BYTES))
        self.leaves = list(_leaves(start))

    def policy(self) -> str:
        """Return what the auditor holds."""
        logs = map(Log, self.signer.verifiers)
        return Policy((*logs, Witness("rssi", self.witness.cosigner)), quorum="rssi").text()

    def head(self, leaves: Sequence[bytes], size: int, *, seen: bool = True) -> bytes:
        """Return the signed head of the first leaves, as the witness saw it."""
        frontier = Frontier()
        for leaf in leaves[:size]:
            frontier.add(leaf)
        note = sign(Checkpoint(ORIGIN, size, frontier.root()).text(), self.signer)
        if not seen:
            return note.to_bytes()
        at = (self._start + size * _STEP) // 1_000_000
        return Note(
            note.text, (*note.signatures, self.witness.cosign(note.text, at))
        ).to_bytes()

    def export(
        self, name: str, leaves: Sequence[bytes], anchors: Sequence[int], signer: Signer
    ) -> Path:
        """Publish leaves as a recorder does, export them, and name the export."""
        with tempfile.TemporaryDirectory() as place:
            log, signed = Path(place) / "log", Path(place) / "signed"
            log.mkdir()
            signed.mkdir()
            publisher.create(signed, ORIGIN)
            running = publisher.Publisher(log, signed, signer)
            running.open([], 0)
            running.publish(leaves, [leaf_hash(leaf) for leaf in leaves])
            (log / VERIFIER_KEY).write_text(keys_text(signer.verifiers) + "\n")
            (log / "anchors").mkdir()
            for size in anchors:
                (log / "anchors" / f"{size}.note").write_bytes(self.head(leaves, size))
            order = Order(
                0, len(leaves) - 1, label="EXERCICE", site=name,
                made=self._start + SIZE * _STEP, made_by="exercice",
            )  # fmt: skip
            done = export(log, self._folder, order)
        assert done.slip is not None
        done.slip.unlink()  # nobody hands an exercise over
        return done.folder.rename(self._folder / name)


def write(out: Path, start: int) -> None:
    """Write the exports to learn on into a folder to be made.

    Args:
        out: The folder.
        start: Time of the first record, microseconds since 1970.

    Raises:
        TrainingError: It exists, or cannot be made.
        OSError: A file cannot be written.
    """
    try:
        out.mkdir()
    except OSError as exc:
        raise TrainingError(f"{out}: {exc.strerror}") from exc
    site = _Site(out, start)
    whole = site.export("1-intact", site.leaves, [100, 200, SIZE], site.signer)
    bad = _changed(site.leaves, VICTIM)
    late = _changed(site.leaves, WITNESSED + 1)
    site.export("3-tout-refait", bad, [], site.signer)
    site.export("4-autre-cle", bad, [], _signer())
    site.export("6-retour", site.leaves[:200], [100, 200], site.signer)
    site.export("7-cle-volee", late, [100, 200, WITNESSED], site.signer)
    site.export("8-cle-volee", bad, [], site.signer)
    for name in ("2-evenement", "5-tableur"):
        shutil.copytree(whole, out / name)
    for name, change in TAMPERED.items():
        change(out / name, site)
        (out / name / contents.SUMS).write_bytes(contents.sums(out / name))
    (out / "POLITIQUE").write_text(site.policy(), "utf-8")
    (out / "verify.py").write_text(verifier(), "utf-8")
    (out / "note-gardee.note").write_bytes(site.head(site.leaves, WITNESSED, seen=False))
    (out / "A-LIRE.txt").write_text(_page(), "utf-8")


def _signer() -> Signer:
    scalar = scalar_from(secrets.token_bytes(_SCALAR_BYTES))
    return Signer(ORIGIN, secrets.token_bytes(SEED_BYTES), scalar)


def _edit_event(folder: Path, site: _Site) -> None:
    bundle = folder / "tile/entries/000"
    leaf = site.leaves[VICTIM]
    bundle.write_bytes(bundle.read_bytes().replace(leaf, _changed(site.leaves, VICTIM)[VICTIM]))


def _keep_head(folder: Path, site: _Site) -> None:
    head = site.head(site.leaves, SIZE, seen=False)
    (folder / "checkpoint").write_bytes(head)


def _edit_sheet(folder: Path, site: _Site) -> None:  # noqa: ARG001 - one shape of TAMPERED
    sheet = folder / "events.csv"
    lines = sheet.read_text("utf-8").splitlines(keepends=True)
    lines[VICTIM + 1] = re.sub('"(agent|chef)-', '"autre-', lines[VICTIM + 1], count=1)
    sheet.write_text("".join(lines), "utf-8")


TAMPERED: dict[str, Callable[[Path, _Site], None]] = {
    "2-evenement": _edit_event,
    "3-tout-refait": _keep_head,
    "5-tableur": _edit_sheet,
}


def _changed(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the leaves with the label of one record changed: as long as before."""
    changed = list(leaves)
    changed[index] = re.sub(rb'"label":1', b'"label":0', changed[index], count=1)
    assert changed[index] != leaves[index]
    return changed


def _leaves(start: int) -> Iterator[bytes]:
    for index, event in zip(range(SIZE), _events(), strict=False):
        at = start + index * _STEP
        yield Leaf(at, "exercice", event, index, index * _STEP, 880).text()


def _events() -> Iterator[Event]:
    yield BudgetChange(
        actor="chef-1", budget="site", hard=True, id=_id("b", 0), limit=10**7, period="month"
    )
    number = 0
    while True:
        actor = f"agent-{number % 7}"
        yield fact(Kind.RAG_OPEN, actor, _id("f", number), label=1, document=number % 40)
        yield Intent(
            actor=actor, flags=[], id=_id("i", number), label=1, max_tokens=512,
            model="mistral-small", policy=NO_TEXT, prompt=NO_TEXT, request=_id("r", number),
            reserve={"site": 900},
        )  # fmt: skip
        yield Completion(
            actor=actor, answer=NO_TEXT, completion_tokens=60, duration=41_000, finish="stop",
            flags=[], id=_id("t", number), label=1, prompt_tokens=240, request=_id("r", number),
            spend={"site": 300}, status=200,
        )  # fmt: skip
        number += 1


def _id(kind: str, number: int) -> str:
    return f"{kind}{number:019d}"


def _page() -> str:
    lines = [
        "EXPORTS D’EXERCICE. Journal inventé : ni clés ni événements ne sont d’un site.",
        "Vérifier chacun, puis comparer à ce qui est attendu.",
        "(Exports to learn on; run each line, compare the exit code and the word after it.)",
        "",
    ]
    for one in EXERCISES:
        words = " ".join(["python3 -I verify.py", one.folder, "--policy POLITIQUE", *one.more])
        lines += [f"{one.folder} : {one.done}", f"    {words}",
                  f"    fin {one.exit_code}, {one.said}", ""]  # fmt: skip
    return "\n".join(lines)

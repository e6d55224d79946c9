"""Exports for tests: a log of real leaves, witnessed, and the policy that its auditor holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.contents import Order
from appliance.audit.cosignature import WitnessKey
from appliance.audit.export import Exported, export
from appliance.audit.exported import verify
from appliance.audit.key import Signer, keys_text
from appliance.audit.note import Note, sign
from appliance.audit.policy import Log, Policy, Witness
from appliance.audit.tree import Frontier
from appliance.audit.volume import VERIFIER_KEY
from tests.audit import logs
from tests.audit.logs import ORIGIN, SIGNER, START

WITNESS = WitnessKey("rssi.example/w1", bytes(range(32, 64)))
POLICY = Policy(
    (*map(Log, SIGNER.verifiers), Witness("rssi", WITNESS.cosigner)), quorum="rssi"
).text()


def head_of(stored: Sequence[bytes], size: int | None = None, signer: Signer = SIGNER) -> Note:
    """Return the signed checkpoint of the first leaves."""
    frontier = Frontier()
    for leaf in stored[:size]:
        frontier.add(leaf)
    return sign(Checkpoint(ORIGIN, frontier.size, frontier.root()).text(), signer)


def seconds(index: int) -> int:
    """Return when a witness saw a leaf of `logs.leaf`, some seconds after."""
    return START // 1_000_000 + index // 50 + 5


def cosigned(note: Note, at: int, witness: WitnessKey = WITNESS) -> bytes:
    """Return a checkpoint with the cosignature of a witness."""
    return Note(note.text, (*note.signatures, witness.cosign(note.text, at))).to_bytes()


def log_of(folder: Path, stored: Sequence[bytes], anchors: Sequence[int] = ()) -> Path:
    """Write a log whose checkpoints of these sizes were witnessed; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    logs.publish(folder, stored)
    log = folder / "log"
    (log / VERIFIER_KEY).write_text(keys_text(SIGNER.verifiers) + "\n")
    (log / "anchors").mkdir()
    for size in anchors:
        note = cosigned(head_of(stored, size), seconds(size))
        (log / "anchors" / f"{size}.note").write_bytes(note)
    (folder / "POLICY").write_text(POLICY)
    return log


def exported(
    folder: Path, stored: Sequence[bytes], anchors: Sequence[int], **order: Any
) -> Exported:
    """Write a log and export it."""
    log = log_of(folder, stored, anchors)
    wanted = {"first": 0, "last": len(stored) - 1, "formats": {"jsonl", "csv", "ocsf"}}
    return export(log, folder / "out", Order(**{**wanted, **order}))


def judged(export: Path, policy: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Return exit code and facts."""
    code, _, facts = verify(str(export), "--policy", str(policy), "--jobs", "1", *more)
    return code, facts

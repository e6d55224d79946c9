"""What an auditor waits for: an export of a million varied records, and its verification.

Records of every type, at the edge of their length, with letters of every alphabet, requests
that end well, badly or by an abort. Written as the recorder publishes them; exported by the
product; verified by the printed program alone, by the python3 of the system.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.audit import publisher
from appliance.audit.contents import ALL, Order
from appliance.audit.event import (
    FACTS,
    NO_TEXT,
    Completion,
    Event,
    Failed,
    Intent,
    Interrupted,
    Kind,
    Leaf,
)
from appliance.audit.export import export
from appliance.audit.exported import verifier
from appliance.audit.key import Signer, keys_text
from appliance.audit.tree import leaf_hash
from appliance.audit.volume import VERIFIER_KEY

RECORDS = 1_000_000
PUBLISHED = 50_000  # at a time
GOAL = 60  # seconds, on two cores
SIGNER = Signer("audit.example/bench", bytes(range(32)), bytes(range(64, 96)))
START = 1_795_420_800_000_000
ONCE = {  # an auditor is told of each: a log has few
    Kind.AUDIT_DEGRADED, Kind.AUDIT_EPOCH, Kind.AUDIT_HEARTBEAT, Kind.AUDIT_LOSS,
    Kind.CLOCK_STEP,
}  # fmt: skip
WORDS = ("Éléonore", "Łódź", "Ελλάδα", "東京", "\U0001f5c4", "=1+1", 'a "b"; c', "x" * 150)
KINDS = [kind for kind in Kind if kind not in ONCE]


def measure(records: int = RECORDS) -> list[dict[str, Any]]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = _log(folder, records)
        begun, before = time.monotonic(), _spent()
        order = Order(0, records - 1, label="Usage interne", formats=ALL, made=START)
        done = export(log, folder / "out", order)
        exported, after = time.monotonic() - begun, _spent()
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        (folder / "verify.py").write_text(verifier(), "utf-8")
        (folder / "keys").write_text(keys_text(SIGNER.verifiers))
        verified, memory = _verify(folder, done.folder)
        last = _spent()
        size = sum(p.stat().st_size for p in done.folder.rglob("*") if p.is_file())
    return [
        _row(f"export of {records:,} records", exported, "s", GOAL),
        _row("its verification by python3 alone", verified, "s", GOAL),
        _row("size of the export", size / 1e9, "GB"),
        _row("memory of the export, with the log in the making", own, "MiB"),
        _row("memory of the verification, per process", memory, "MiB"),
        _row("CPU of the export", after - before, "s"),
        _row("CPU of the verification", last - after, "s"),
    ]


def _row(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    return {
        "name": name, "value": round(value, 2), "unit": unit,
        "goal": "" if goal is None else f"< {goal}", "ok": goal is None or value < goal,
    }  # fmt: skip


def _spent() -> float:
    """Return seconds of CPU, of this process and of those that it waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _verify(folder: Path, export: Path) -> tuple[float, float]:
    python = shutil.which("python3", path="/usr/bin:/bin") or "python3"
    argv = [python, "-I", "verify.py", str(export), "--key", "keys", "--jobs", "2", "--json"]
    begun = time.monotonic()
    done = subprocess.run(argv, cwd=folder, capture_output=True, check=False)
    seconds = time.monotonic() - begun
    if done.returncode not in {3, 4}:
        raise RuntimeError(done.stdout.decode() + done.stderr.decode())
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _log(folder: Path, records: int) -> Path:
    for name in ("log", "signed"):
        (folder / name).mkdir()
    publisher.create(folder / "signed", SIGNER.verifier.name)
    running = publisher.Publisher(folder / "log", folder / "signed", SIGNER)
    running.open([], 0)
    leaves: list[bytes] = []
    for index, event in zip(range(records), _events(), strict=False):
        at = START + index * 20_000
        leaves.append(Leaf(at, "b" * 36, event, index, index * 20_000, 882).text())
        if len(leaves) == PUBLISHED or index == records - 1:
            running.publish(leaves, [leaf_hash(leaf) for leaf in leaves])
            leaves = []
    (folder / "log" / VERIFIER_KEY).write_text(keys_text(SIGNER.verifiers) + "\n")
    return folder / "log"


def _events() -> Iterator[Event]:
    """Yield requests with their ends, and between them facts of every type."""
    for kind in sorted(ONCE):
        yield FACTS[kind](actor="recorder", id=f"once-{kind[-20:]:>16}", data={"every": 60})
    number = 0
    while True:
        yield _intent(number)
        yield _fact(number)
        yield _end(number)
        number += 1


def _intent(number: int) -> Intent:
    return Intent(
        actor=f"agent-{number % 500}", flags=["iban"] if number % 9 == 0 else [],
        id=f"i{number:019d}", label=number % 4, max_tokens=512, model="mistral-small",
        policy=NO_TEXT, prompt=NO_TEXT, request=f"r{number:019d}",
        reserve={"site": 900, f"user:agent-{number % 500}": 900}, stream=number % 2 == 0,
    )  # fmt: skip


def _end(number: int) -> Event:
    said: dict[str, Any] = {
        "actor": f"agent-{number % 500}", "answer": NO_TEXT, "completion_tokens": 60,
        "duration": 41_000, "finish": "stop", "flags": [], "id": f"t{number:019d}",
        "label": number % 4, "prompt": NO_TEXT, "prompt_tokens": 240,
        "request": f"r{number:019d}", "spend": {"site": 300}, "status": 200,
    }  # fmt: skip
    return (Interrupted if number % 11 == 0 else Failed if number % 17 == 0 else Completion)(
        **said
    )


def _fact(number: int) -> Event:
    """Return a fact; one in fifty is as long as a record may be."""
    kind = KINDS[number % len(KINDS)]
    count = 19 if number % 50 == 0 else number % 7
    data: dict[str, str | int] = {
        f"field{n:02d}": WORDS[(number + n) % len(WORDS)] if count < 9 else "é" * 90
        for n in range(count)
    }
    data["reason"] = WORDS[number % len(WORDS)]
    return FACTS[kind](actor=f"agent-{number % 500}", id=f"f{number:019d}", data=data)


if __name__ == "__main__":
    for row in measure(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS):
        kept = "" if row["ok"] else "  MISSED"
        print(f"{row['name']:55} {row['value']:>10} {row['unit']:4} {row['goal']}{kept}")

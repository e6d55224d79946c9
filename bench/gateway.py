"""Requests per CPU second beside LiteLLM, and latency added at 500 requests a second.

Rounds are interleaved: direct, ours, LiteLLM with each of its servers, again. One machine, one
run: a ratio holds where an absolute time does not. Billed: gateway + recorder of ours, all
processes of the peer. The peer runs without a database, its best case.
"""

import json
import secrets
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.processes import (
    Load,
    Result,
    Subject,
    await_listener,
    drive,
    fdatasync_ms,
    free_port,
    start,
)
from bench.stand import GATEWAY_CORE, LOAD_CORE, RECORDER_CORE, Stand, gateway, make_stand

ROUNDS = 3
OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "NO_DOCS": "True", "LITELLM_TELEMETRY": "False", "DISABLE_ADMIN_UI": "True",
    "HF_HUB_OFFLINE": "1", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True", "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
}  # fmt: skip
MODES = {
    "json c=32": Load(32, 2),
    "json c=128": Load(128, 2),
    "stream c=16": Load(16, 2, stream=True),
    "open 500/s": Load(200, 4, rate=500),
}
Rows = dict[str, dict[str, list[Result]]]


def litellm(stand: Stand, binary: Path, *, granian: bool) -> Subject:
    """Start the peer with one of its two servers."""
    port, key = free_port(), "sk-" + secrets.token_hex(24)
    text = Path(__file__).with_name("litellm.yaml").read_text("utf-8")
    name = "litellm granian" if granian else "litellm uvicorn"
    config = stand.folder / f"{name.replace(' ', '-')}.yaml"
    config.write_text(text.replace("PORT", str(stand.engine_port)).replace("MASTER_KEY", key))
    argv = [str(binary), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    extra = ["--num_workers", "1", *(["--run_granian"] if granian else [])]
    process = start(GATEWAY_CORE, [*argv, *extra], stand.log, OFFLINE)
    await_listener(str(port))
    time.sleep(3)
    return Subject(name, str(port), [key], [process])


def measure(peer: Path) -> list[dict[str, Any]]:
    """Run it all and return the figures.

    Args:
        peer: The command of LiteLLM.
    """
    with tempfile.TemporaryDirectory(prefix="cmb-") as name:
        stand, shared = make_stand(Path(name))
        subjects = [Subject("direct", str(stand.engine_port), ["x"])]
        try:
            subjects.append(gateway(stand, "casemate", RECORDER_CORE))
            subjects += [litellm(stand, peer, granian=granian) for granian in (False, True)]
            before = fdatasync_ms(stand.folder)
            rows = _rounds(stand, subjects)
            sync = (before + fdatasync_ms(stand.folder)) / 2
            leaves = _records(stand, subjects[1])
        finally:
            for subject in subjects:
                subject.kill()
            for process in shared:
                process.kill()
    return _figures(rows, sync, subjects[1].responses, leaves)


def _rounds(stand: Stand, subjects: list[Subject]) -> Rows:
    load, rows = stand.folder / "load", Rows()
    for subject in subjects:
        subject.signal(signal.SIGCONT)
        drive(load, subject, Load(8, 1), LOAD_CORE)
        drive(load, subject, Load(4, 1, stream=True), LOAD_CORE)
        subject.signal(signal.SIGSTOP)
    for _ in range(ROUNDS):
        for subject in subjects:
            subject.signal(signal.SIGCONT)
            time.sleep(0.3)
            for mode, wish in MODES.items():
                if not (wish.rate and subject.name.startswith("litellm")):
                    got = drive(load, subject, wish, LOAD_CORE)
                    rows.setdefault(subject.name, {}).setdefault(mode, []).append(got)
            subject.signal(signal.SIGSTOP)
    for subject in subjects:
        subject.signal(signal.SIGCONT)
    return rows


def _records(stand: Stand, subject: Subject) -> int:
    """Return the number of completions in the log, as `casemate audit verify` counts them."""
    time.sleep(1)
    journal = stand.folder / subject.name / "log"
    found = subprocess.run(
        ["grep", "-raoh", "casemate.llm.completion.v1", str(journal / "journal")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return len(found.stdout.splitlines())


def _middle(rows: list[Result], key: str) -> float:
    return statistics.median(float(row[key]) for row in rows)


def _per_cpu_second(rows: list[Result]) -> float:
    return 1e6 / statistics.median(sum(row["cpu_us"]) for row in rows)


def _figures(rows: Rows, sync: float, responses: int, records: int) -> list[dict[str, Any]]:
    ours, out = rows["casemate"], []
    peers = [modes for name, modes in rows.items() if name.startswith("litellm")]

    def figure(name: str, value: float, unit: str, goal: str, ok: bool) -> None:  # noqa: FBT001 - one line each
        out.append(
            {"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "ok": ok}
        )

    for mode in ("json c=32", "json c=128", "stream c=16"):
        mine = _per_cpu_second(ours[mode])
        best = max(_per_cpu_second(modes[mode]) for modes in peers)
        figure(f"{mode}: requests per CPU-second", mine, "1/s", "", ok=True)
        figure(
            f"{mode}: requests per CPU-second, LiteLLM's better server",
            best,
            "1/s",
            "",
            ok=True,
        )
        figure(f"{mode}: ratio to LiteLLM", mine / best, "x", ">= 50", mine / best >= 50)
    added = {
        key: _middle(ours["open 500/s"], key) - _middle(rows["direct"]["open 500/s"], key)
        for key in ("tot_p50", "tot_p99")
    }
    figure("fdatasync p50 of this disk", sync, "ms", "", ok=True)
    limit = 1.5 + 2 * sync
    p50, p99 = added["tot_p50"], added["tot_p99"]
    figure("added latency at 500/s, p50", p50, "ms", f"<= {limit:.2f}", p50 <= limit)
    figure("added latency at 500/s, p99", p99, "ms", "<= 10", p99 <= 10)
    errors = sum(row["err"] + row["bad"] for modes in ours.values() for row in modes)
    figure("errors", errors, "requests", "0", errors == 0)
    figure("records minus responses", records - responses, "records", "0", records == responses)
    return out


def version(peer: Path) -> str:
    """Return the peer's version, as it says."""
    done = subprocess.run(
        [str(peer.with_name("python")), "-c",
         "import importlib.metadata as m, json; print(json.dumps(m.version('litellm')))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return str(json.loads(done.stdout))

"""The stop switch at the rack, without gateway or console."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.audit.client import RecorderError, RefusedError
from appliance.audit.event import Kind
from appliance.gateway import switch
from tests.gateway.engine import engine
from tests.gateway.stand import ROOT, Site, gateway, kinds, records

STOP, APPROVE = Kind.SERVICE_STOP, Kind.SERVICE_APPROVE


def test_a_stop_at_the_rack_reaches_the_workers_and_two_people_start_again(site: Site) -> None:
    async def main() -> None:
        def throw(kind: Kind, person: str) -> bool:
            return switch.throw(site.log.socket, kind, person, "exercice").stopped

        async with engine(site.engine), gateway(site) as ana:
            assert await asyncio.to_thread(throw, STOP, "root")
            assert (await ana.chat())[1]["error"]["code"] == "CM-MOD-05"
            assert await asyncio.to_thread(throw, APPROVE, "root")
            with pytest.raises(RefusedError):
                await asyncio.to_thread(throw, APPROVE, "root")
            assert not await asyncio.to_thread(throw, APPROVE, "anne")
            assert (await ana.chat())[0] == 200
            stops = [e for e in await records(site) if kinds([e]) == ["service.stop"]]
            assert [(e["actor"], e["data"]) for e in stops] == [
                ("local:root", {"reason": "exercice"})
            ]

    asyncio.run(main())


def test_without_a_recorder_the_switch_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "PATIENCE", 0.1)
    with pytest.raises(RecorderError):
        switch.throw(tmp_path / "absent.sock", STOP, "root", "")


def test_the_command_tells_how_the_service_stands(site: Site) -> None:
    def run(verb: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "appliance.cli", "service", verb, "--json"]
        return subprocess.run(
            [*argv, "--recorder", str(site.log.socket)],
            cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ},
        )  # fmt: skip

    done = run("stop")
    assert (done.returncode, json.loads(done.stdout)["stopped"]) == (0, True)
    assert len(json.loads(run("start").stdout)["approvals"]) == 1
    again = run("start")
    assert (again.returncode, "casemate: " in again.stderr) == (1, True)

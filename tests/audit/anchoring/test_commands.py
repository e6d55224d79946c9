"""By hand, from log to witness and back: `audit request`, `witness sign`, `anchor add`."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from appliance.audit.anchoring.answer import AnchorError
from appliance.audit.client import RecorderClient
from appliance.audit.commands import app, witness
from appliance.audit.event import Fact, Kind, fact
from appliance.audit.key import Signer
from appliance.audit.note import Note
from appliance.audit.witness.request import RefusedError, Request
from appliance.settings import RecorderSettings
from tests.audit.parts import leaves_of
from tests.recording import ORIGIN, SEED, running, settings_file

KEY = Signer(ORIGIN, SEED).verifier.text()


def run(program: Any, *words: object) -> dict[str, Any]:
    argv = [*map(str, words), "--json"]
    done = CliRunner().invoke(program, argv, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def served(recorder_settings: RecorderSettings) -> Iterator[RecorderSettings]:
    with running(recorder_settings):
        yield recorder_settings


def grow(settings: RecorderSettings, name: str) -> int:
    async def append() -> int:
        client = RecorderClient(settings.socket, "test")
        await client.connect()
        answer = await client.append(fact(Kind.AUDIT_SEARCH, "ada", f"search-{name:>010}"))
        await client.prove(answer.index)
        await client.close()
        return answer.index + 1

    return asyncio.run(append())


class Carried:
    """The two machines, and the folder that goes between them."""

    def __init__(self, settings: RecorderSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.recorder = settings_file(settings)
        (folder / "state").mkdir()
        self.witness = folder / "witness.toml"
        self.witness.write_text(
            f'name = "rssi.example/w1"\ndirectory = "{folder}/state"\nlogs = ["{KEY}"]\n'
        )
        key = run(witness, "init", "--settings", self.witness)["key"]
        self.policy = folder / "policy"
        self.policy.write_text(f"log {KEY}\nwitness rssi {key}\nquorum rssi\n")

    def ask(self, *words: object) -> dict[str, Any]:
        out = self.folder / "req.txt"
        return run(app, "request", "--settings", self.recorder, "--out", out, *words)

    def sign(self) -> None:
        request = self.folder / "req.txt"
        run(witness, "sign", "--settings", self.witness, "--request", request)

    def add(self, file: str = "cosig.txt") -> dict[str, Any]:
        return run(
            app, "anchor", "add", self.folder / file, "--settings", self.recorder,
            "--policy", self.policy,
        )  # fmt: skip


def test_a_request_goes_out_and_its_cosignature_becomes_an_anchor(
    served: RecorderSettings, tmp_path: Path
) -> None:
    carried = Carried(served, tmp_path)
    size = grow(served, "1")
    assert carried.ask()["old"] == 0
    carried.sign()
    added = carried.add()
    assert (added["size"], added["names"]) == (size, "rssi")
    assert added["file"] == str(served.directory / "anchors" / f"{size}.note")
    assert carried.add() == added  # once more changes nothing
    grown = grow(served, "2")
    assert carried.ask()["old"] == size  # what the witness knows is remembered
    carried.sign()
    carried.add()
    told = [leaf.event for leaf in leaves_of(served) if isinstance(leaf.event, Fact)]
    anchors = [event for event in told if event.kind is Kind.AUDIT_ANCHOR]
    assert [(one.data["size"], one.data["kind"]) for one in anchors] == [
        (size, "file"), (grown, "file"),
    ]  # fmt: skip
    assert all(one.actor.startswith("local:") for one in anchors)


def test_the_note_that_a_witness_serves_is_an_anchor_too(
    served: RecorderSettings, tmp_path: Path
) -> None:
    carried = Carried(served, tmp_path)
    size = grow(served, "1")
    carried.ask()
    carried.sign()
    (note,) = (tmp_path / "state").glob("*/checkpoint")
    (tmp_path / "note").write_bytes(note.read_bytes())
    assert carried.add("note")["size"] == size


def test_a_witness_that_was_asked_elsewhere_says_where_it_is(
    served: RecorderSettings, tmp_path: Path
) -> None:
    carried = Carried(served, tmp_path)
    size = grow(served, "1")
    carried.ask()
    carried.sign()  # and the answer is lost
    grow(served, "2")
    carried.ask()
    with pytest.raises(RefusedError, match=f"409.*{size} records"):
        carried.sign()
    assert carried.ask("--old", size)["old"] == size
    carried.sign()
    assert carried.add()["size"] > size


def test_a_cosignature_of_nobody_that_is_trusted_is_not_kept(
    served: RecorderSettings, tmp_path: Path
) -> None:
    carried = Carried(served, tmp_path)
    grow(served, "1")
    carried.ask()
    carried.sign()
    request = Request.parse((tmp_path / "req.txt").read_bytes())
    lines = Note.parse(request.note).signatures[0].line()
    (tmp_path / "cosig.txt").write_text(lines)
    with pytest.raises(AnchorError, match="no witness"):
        carried.add()
    assert not (served.directory / "anchors").exists()

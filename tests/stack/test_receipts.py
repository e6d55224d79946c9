"""A receipt of the running stack, taken to a machine that has python3 and openssl only.

And what is said of the log of the stack, as it is and falsified.
"""

import asyncio
import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.audit.receipt import page
from appliance.site.programs import CASEMATE
from appliance.site.visitor import Visitor
from tests.stack.conftest import RunningStack

pytestmark = pytest.mark.stack

QUESTIONS = [
    "Combien de jours de télétravail sont possibles par semaine ?",
    "Qui signe une convention de stage ?",
    "Quel est le délai de réponse à une demande de congé ?",
    "Comment signaler un incident de sécurité ?",
]


@dataclass(frozen=True)
class Answered:
    """A question, and the answer as the interface gave it."""

    question: str
    text: str
    index: int


async def _key(visitor: Visitor) -> str:
    """Make an application key on the page, as a person does."""
    page = await visitor.get("/cles")
    (form,) = (f for f in page.root.forms if f.action.endswith("/cles"))
    fields = {name: str(value) for name, value in form.form_values()}
    made = await visitor.post(form.action, fields | {"nom": "recus"})
    return made.text("//code[@id='cle']")


async def _ask(origin: str, key: str, question: str) -> Answered:
    body = {
        "model": "extraits", "messages": [{"role": "user", "content": question}],
        "casemate": {"collections": ["procedures"]},
    }  # fmt: skip
    headers = {"authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{origin}/v1/chat/completions", json=body, headers=headers) as answer,
    ):
        found: dict[str, Any] = await answer.json()
        assert answer.status == 200, found
    text = found["choices"][0]["message"]["content"]
    return Answered(question, text, found["casemate"]["receipt"]["index"])


async def _collect(stack: RunningStack) -> tuple[Answered, bytes]:
    """Ask several times; return one of the answers, not the last, and its receipt."""
    person = stack.person("camille")
    async with Visitor(stack.origin) as visitor:
        await visitor.sign_in(person.username, person.password, None)
        key = await _key(visitor)
        answers = [await _ask(stack.origin, key, question) for question in QUESTIONS]
        chosen = random.choice(answers[:-1])  # noqa: S311 - any earlier one
        return chosen, await visitor.download(f"/journal/{chosen.index}/recu")


@pytest.fixture(scope="module")
def chosen(stack: RunningStack) -> tuple[Answered, bytes]:
    return asyncio.run(_collect(stack))


def elsewhere(folder: Path, receipt: bytes, key: str, *texts: str) -> tuple[int, str]:
    """Check a receipt with the printed page: python3 and openssl, and nothing of ours."""
    (folder / "verify_receipt.py").write_text(page(), "utf-8")
    (folder / "receipt").write_bytes(receipt)
    names = ["question", "answer"][: len(texts)]
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_text(text, "utf-8")
    python = [sys.executable, "-I", "-S", "verify_receipt.py", "receipt", key, *names]
    done = subprocess.run(
        ["/usr/bin/env", "-i", *python], cwd=folder, capture_output=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def test_a_random_earlier_answer_is_proved_with_python3_and_openssl_alone(
    stack: RunningStack, chosen: tuple[Answered, bytes], tmp_path: Path
) -> None:
    answered, receipt = chosen
    key = stack.folder.verifier_key.read_text().strip()
    code, output = elsewhere(tmp_path, receipt, key, answered.question, answered.text)
    assert code == 0, output
    assert f"AUTHENTIC: {key.split('+')[0]}, {answered.index}/" in output
    for texts in (
        (answered.question + "?", answered.text),
        (answered.question, answered.text[1:]),
    ):
        code, output = elsewhere(tmp_path, receipt, key, *texts)
        assert code == 1
        assert f"record {answered.index}" in output


def test_the_log_of_the_stack_is_whole_and_holds_the_receipt(
    stack: RunningStack, chosen: tuple[Answered, bytes], tmp_path: Path
) -> None:
    (tmp_path / "receipt").write_bytes(chosen[1])
    code, told = audit(
        "verify", stack.folder.toml("recorder"), "--key", stack.folder.verifier_key,
        "--receipt", tmp_path / "receipt",
    )  # fmt: skip
    assert code in (0, 4), told  # a request may be under way
    assert (told["verdict"], told["anchors"]) == ("whole", 2)
    assert told["budgets"]["site"]["used"] > 0


def test_one_figure_changed_in_a_copy_is_named(stack: RunningStack, tmp_path: Path) -> None:
    key = stack.folder.verifier_key
    code, done = audit("falsify", stack.folder.log, "--out", tmp_path / "copy")
    assert code == 0
    code, told = audit("verify", tmp_path / "copy", "--key", key)
    assert (code, told["fault"], told["record"]) == (1, "E_LEAF", done["record"])


def audit(*argv: str | Path) -> tuple[int, dict[str, Any]]:
    words = [CASEMATE, "audit", *map(str, argv), "--json"]
    done = subprocess.run(words, capture_output=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found

"""The parser program as a process: what a document may do to it, and what it may do."""

import asyncio
import subprocess
import sys

import pytest

from appliance.rag import parse, sandbox
from appliance.rag.formats import detect
from appliance.rag.parsed import Reason, decode
from tests.rag import samples


@pytest.mark.parametrize("kind", samples.FORMATS)
def test_each_format_is_read_behind_all_walls(kind: str) -> None:
    """No module, font, table or codec is fetched from disk once a document is there."""
    answer = asyncio.run(sandbox.parse(samples.FORMATS[kind]()))
    assert {"limits", "seccomp"} <= set(answer.isolation)
    assert answer.reason is None
    assert answer.parsed is not None
    assert answer.parsed.kind == kind


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", Reason.EMPTY, id="nothing"),
        pytest.param(samples.pdf(password="x"), Reason.ENCRYPTED, id="encrypted"),
        pytest.param(samples.pdf_of_images(), Reason.NO_TEXT_LAYER, id="images"),
        pytest.param(samples.bomb(300 << 20), Reason.TOO_COMPLEX, id="archive bomb"),
        pytest.param(b"<p>" + b"<div>" * 100_000, Reason.TOO_COMPLEX, id="deep page"),
        pytest.param(b"\x7fELF" + bytes(100), Reason.UNKNOWN_FORMAT, id="program"),
    ],
)
def test_hostile_documents_get_a_reason(data: bytes, reason: Reason) -> None:
    assert asyncio.run(sandbox.parse(data)).reason is reason


def test_a_parser_out_of_memory_says_that_it_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exhausted(_: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(detect, "read", exhausted)
    assert parse.answer(b"x", []).reason is Reason.TOO_COMPLEX


def test_an_input_without_measure_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "INPUT_BYTES_MAX", 3)
    assert parse.answer(b"abcd", []).reason is Reason.TOO_COMPLEX


def test_the_command_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "parse"],
        input=samples.markdown(),
        capture_output=True,
        check=True,
    )
    answer = decode(done.stdout)
    assert answer.parsed is not None
    assert answer.parsed.title == samples.TITLE
    assert {"limits", "seccomp"} <= set(answer.isolation)

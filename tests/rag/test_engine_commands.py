"""The process of the extractive engine, on its socket, with the stock client."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from appliance.rag.engine import NOT_FOUND, QUOTED
from appliance.rag.engine_commands import configuration
from appliance.rag.prompt import Given, write_passages
from appliance.settings import EngineSettings

ENGINE = [sys.executable, "-m", "appliance.cli", "engine", "serve", "--settings"]
PASSAGES = write_passages([Given(1, "Note", "p. 1", "Deux jours de télétravail par semaine.")])


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with tempfile.TemporaryDirectory(prefix="cm-") as name:
        socket, settings = Path(name) / "engine.sock", Path(name) / "engine.toml"
        settings.write_text(f'socket = "{socket}"\n')
        process = subprocess.Popen([*ENGINE, str(settings)])
        try:
            while not socket.exists():
                assert process.poll() is None
                time.sleep(0.05)
            transport = httpx2.HTTPTransport(uds=str(socket), retries=5)
            with httpx2.Client(transport=transport) as http:
                yield openai.OpenAI(base_url="http://engine/v1", api_key="-", http_client=http)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in {0, -signal.SIGTERM}


def _messages(question: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": PASSAGES}, {"role": "user", "content": question}]


def test_the_stock_client_reads_an_answer(client: openai.OpenAI) -> None:
    messages = _messages("Combien de jours de télétravail ?")
    answer = client.chat.completions.create(model="extraits", messages=messages)
    assert answer.choices[0].message.content == (
        f"{QUOTED}\n\n« Deux jours de télétravail par semaine. » [1]"
    )
    assert [m.id for m in client.models.list()] == ["extraits"]


def test_the_stock_client_reads_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="extraits",
        messages=_messages("Recette ?"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    texts = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(texts) == NOT_FOUND
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == len(NOT_FOUND.split())


def test_the_stock_client_reads_a_refusal(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no JSON"):
        client.chat.completions.create(
            model="extraits",
            messages=_messages("?"),
            response_format={"type": "json_object"},
        )


def test_it_is_served_alone_on_its_socket() -> None:
    found = configuration(EngineSettings(socket=Path("engine.sock"), model="m"))
    assert found["uds"] == "engine.sock"
    assert "host" not in found
    assert not found["access_log"]

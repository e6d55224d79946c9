"""The witness over HTTP, by a real server on a port of the machine."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit.note import Signature
from appliance.audit.witness import serving
from appliance.audit.witness.memory import folder_of
from tests.audit import logs
from tests.audit.witness.servers import NAME, PREFIX, served, settings_of
from tests.audit.witness.test_request import fork, request

WHERE = f"{PREFIX}/{folder_of(logs.ORIGIN)}/checkpoint"
ADD = f"{PREFIX}/add-checkpoint"
GROWN = request(300, 600).to_bytes()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    settings = settings_of(tmp_path, logs.VERIFIER_KEYS.split("\n"))
    with served(settings):
        yield settings.port


Answer = tuple[int, str | None, bytes]


def ask(port: int, method: str, path: str, body: bytes = b"") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("content-type"), answer.read()
    finally:
        connection.close()


def test_a_log_that_grows_is_cosigned_and_what_is_kept_can_be_fetched(port: int) -> None:
    assert ask(port, "GET", WHERE)[0] == 404
    status, kind, line = ask(port, "POST", ADD, request(0, 3).to_bytes())
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert Signature.parse(line.decode().removesuffix("\n")).name == NAME
    assert ask(port, "POST", ADD, request(3, 600).to_bytes())[0] == 200
    status, _, note = ask(port, "GET", WHERE)
    assert status == 200
    assert note.startswith(b"audit.example/demo\n600\n")
    assert note.count(b"\n\xe2\x80\x94 ") == 3


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param(b"nonsense", 400, id="no request"),
        pytest.param(request(0, 3).to_bytes(), 409, id="older"),
        pytest.param(GROWN.replace(b"\n600\n", b"\n601\n"), 403, id="false signature"),
        pytest.param(
            request(0, 3).to_bytes().replace(b"audit.example/demo", b"audit.example/x"),
            404, id="unknown log",
        ),
        pytest.param(fork(300), 400, id="no old size"),
        pytest.param(b"old 300\n\n" + fork(300), 422, id="fork"),
        pytest.param(b"x" * 200_000, 413, id="too long"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_status(port: int, body: bytes, answer: int) -> None:
    assert ask(port, "POST", ADD, request(0, 300).to_bytes())[0] == 200
    status, kind, text = ask(port, "POST", ADD, body)
    assert status == answer
    if answer == 409:
        assert (kind, text) == ("text/x.tlog.size", b"300\n")


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", ADD, 405), ("POST", WHERE, 405), ("GET", "/", 404), ("GET", PREFIX, 404),
        ("POST", "/add-checkpoint", 404), ("GET", f"{PREFIX}/../checkpoint", 404),
        ("GET", f"{PREFIX}/{'0' * 64}/checkpoint", 404),
        ("GET", f"{PREFIX}/{folder_of(logs.ORIGIN).upper()}/checkpoint", 404),
    ],
)  # fmt: skip
def test_there_are_two_routes_and_no_other(
    port: int, method: str, path: str, answer: int
) -> None:
    assert ask(port, method, path)[0] == answer


def test_a_witness_that_cannot_write_says_so_and_cosigns_nothing(
    port: int, tmp_path: Path
) -> None:
    folder = tmp_path / folder_of(logs.ORIGIN)
    folder.rename(tmp_path / "away")
    assert ask(port, "POST", ADD, request(0, 3).to_bytes()) == (500, serving.TEXT, b"")
    (tmp_path / "away").rename(folder)
    assert ask(port, "GET", WHERE)[0] == 404
    assert ask(port, "POST", ADD, request(0, 3).to_bytes())[0] == 200

"""JSON mode: what engines compile safely passes, what has stopped engines does not."""

import json
from typing import Any

import msgspec
import pytest

from appliance.errors import FormatError
from appliance.gateway import chat, schema

Json = dict[str, Any]


def asked(root: Json) -> bytes:
    wanted = {"type": "json_schema", "json_schema": {"name": "reponse", "schema": root}}
    messages = [{"role": "user", "content": "Bonjour"}]
    body = {"model": "m", "messages": messages, "response_format": wanted}
    return json.dumps(body).encode()


PERSON: Json = {
    "type": "object",
    "properties": {
        "nom": {"type": "string", "maxLength": 80},
        "age": {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}],
            "default": None,
        },
        "adresse": {"$ref": "#/$defs/Adresse"},
        "roles": {"type": "array", "items": {"enum": ["agent", "chef", 3]}, "maxItems": 4},
        "né": {"type": "string", "format": "date"},
    },
    "required": ["nom"],
    "additionalProperties": False,
    "$defs": {"Adresse": {"type": "object", "properties": {"rue": {"type": "string"}}}},
}


def test_a_schema_of_a_data_class_reaches_the_engine_unchanged() -> None:
    request = chat.parse(asked(PERSON))
    body = chat.engine_body(request, chat.Settings(16, 0.2, "salt"))
    assert json.loads(body)["response_format"]["json_schema"]["schema"] == PERSON


@pytest.mark.parametrize("kind", ["text", "json_object"])
def test_the_plain_formats_reach_the_engine(kind: str) -> None:
    raw = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    request = chat.parse(json.dumps({**raw, "response_format": {"type": kind}}).encode())
    body = chat.engine_body(request, chat.Settings(16, 0.2, "salt"))
    assert json.loads(body)["response_format"] == {"type": kind}


def deep(levels: int) -> Json:
    root: Json = {"type": "string"}
    for _ in range(levels):
        root = {"type": "array", "items": root}
    return root


@pytest.mark.parametrize(
    "root",
    [
        pytest.param({"type": "string", "pattern": "(a+)+$"}, id="pattern"),
        pytest.param({"type": "str"}, id="unknown type"),
        pytest.param({"type": "string", "maxLength": 10**9}, id="huge repetition"),
        pytest.param({"type": "array", "maxItems": 10**6}, id="many items"),
        pytest.param({"$ref": "#"}, id="reference to the root"),
        pytest.param({"$ref": "https://example.org/s"}, id="reference to elsewhere"),
        pytest.param({"$ref": "#/$defs/A"}, id="reference to nothing"),
        pytest.param({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, id="circle"),
        pytest.param(
            {"$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}}, id="circle that nobody uses"
        ),
        pytest.param(deep(schema.DEPTH_MAX + 1), id="deep"),
        pytest.param({"properties": {str(n): {} for n in range(101)}}, id="wide"),
        pytest.param({"items": {"$defs": {"A": {}}}}, id="definitions inside"),
        pytest.param({"if": {}}, id="unknown word"),
    ],
)
def test_what_engines_cannot_compile_safely_is_refused(root: Json) -> None:
    with pytest.raises(FormatError):
        chat.parse(asked(root))


def test_references_multiply_no_work() -> None:
    """Each definition names the next one ten times: 10^9 nodes, found out after `NODES_MAX`."""
    defs: Json = {"D9": {"type": "string"}}
    for n in range(9):
        defs[f"D{n}"] = {"anyOf": [{"$ref": f"#/$defs/D{n + 1}"}] * 10}
    with pytest.raises(FormatError, match="too long"):
        chat.parse(asked({"$ref": "#/$defs/D0", "$defs": defs}))


def test_the_deepest_schema_that_passes_is_read() -> None:
    assert chat.parse(asked(deep(schema.DEPTH_MAX))).response_format is not None


def test_no_format_is_no_work() -> None:
    schema.check(None)
    schema.check(msgspec.json.decode(b'{"type":"text"}', type=schema.ResponseFormat))

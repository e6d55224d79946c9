"""The document of the API: from the types that read bodies; hostile data made from it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI

from appliance.gateway import openapi
from appliance.gateway.chat import ChatRequest
from appliance.gateway.routes import router
from tests.gateway.engine import engine
from tests.gateway.stand import Json, Site, client, gateway


def document() -> Json:
    app = FastAPI(title="Casemate")
    app.include_router(router)
    return openapi.complete(app.openapi())


def test_the_document_names_every_route_and_every_field() -> None:
    made = document()
    assert made["paths"].keys() == {route.path for route in router.routes}  # type: ignore[attr-defined]
    fields = made["components"]["schemas"]["ChatRequest"]["properties"]
    assert fields.keys() == set(ChatRequest.__struct_fields__)
    assert made["components"]["schemas"]["ChatRequest"]["additionalProperties"] is False


def test_every_reference_leads_somewhere_and_every_refusal_has_its_shape() -> None:
    made = document()
    text = json.dumps(made)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= made["components"]["schemas"].keys()
    for path in made["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")):
                    found = response["content"]["application/json"]["schema"]
                    assert found == {"$ref": "#/components/schemas/ErrorBody"}


@asynccontextmanager
async def bridge(path: Path) -> AsyncIterator[int]:
    """Lend a TCP port that leads to a unix socket."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_unix_connection(path)
        await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


# 413 is a rejection too; and 300.0 is an integer for JSON Schema, not for us.
CHECKS = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "413"]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "403", "404", "409", "413"]
"""


def test_data_made_from_the_document_finds_no_hole(site: Site) -> None:
    path = site.folder / "openapi.json"
    path.write_text(json.dumps(document()))
    path.with_name("schemathesis.toml").write_text(CHECKS)

    async def main() -> None:
        await asyncio.to_thread(site.start_gateway, "gateway-0")
        engines = engine(site.engine), engine(site.embedder)
        inside = bridge(site.folder / "gateway-0.sock")
        async with engines[0], engines[1], client(site) as ana, inside as port:
            done = await asyncio.to_thread(attack, path, port, ana.token)
            assert done.returncode == 0, done.stdout[-6_000:]
            assert (await ana.chat())[0] == 200

    asyncio.run(main())


def attack(path: Path, port: int, token: str) -> "subprocess.CompletedProcess[str]":
    argv = [
        sys.executable, "-m", "schemathesis.cli", "run", str(path),
        "--url", f"http://127.0.0.1:{port}", "--header", f"Authorization: Bearer {token}",
        "--max-examples", "30", "--seed", "7", "--no-color",
        "--phases", "examples,coverage,fuzzing", "--generation-deterministic",
    ]  # fmt: skip
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=path.parent)


def test_the_document_is_served(site: Site) -> None:
    async def main() -> None:
        async with gateway(site) as ana:
            status, made = await ana.get("/openapi.json")
            assert status == 200
            assert made["paths"] == document()["paths"]

    asyncio.run(main())

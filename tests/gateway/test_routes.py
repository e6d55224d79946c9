"""Routes beside the hot path: models, health, the stop switch on every route to a model."""

import asyncio

import pytest

from appliance.gateway.routes import router
from tests.gateway.engine import engine
from tests.gateway.stand import Client, Json, Site, calls, client, gateway, kinds, records

# Every route of the router is in one of these two: a new one has to say which.
MODEL_ROUTES: dict[str, Json] = {
    "/v1/chat/completions": {"model": "chat", "messages": [{"role": "user", "content": "x"}]},
    "/v1/embeddings": {"model": "vecteurs", "input": "x"},
}
OTHER_ROUTES = {
    "/health", "/v1/models", "/v1/service/stop", "/v1/service/approve", "/v1/content/approve",
    "/v1/content/visa",
}  # fmt: skip


async def stop(ana: Client) -> None:
    rssi = ana.as_("rene", roles=["rssi"])
    status, body, _ = await rssi.post("/v1/service/stop", {"reason": "exercice"})
    assert (status, body["stopped"]) == (200, True)


def test_every_route_is_known_here() -> None:
    found = {route.path for route in router.routes}  # type: ignore[attr-defined]
    assert found == MODEL_ROUTES.keys() | OTHER_ROUTES


@pytest.mark.parametrize("path", MODEL_ROUTES)
def test_a_stop_refuses_every_route_that_asks_a_model(site: Site, path: str) -> None:
    async def main() -> None:
        async with engine(site.engine), engine(site.embedder), gateway(site) as ana:
            assert (await ana.post(path, MODEL_ROUTES[path]))[0] == 200
            await stop(ana)
            status, body, _ = await ana.post(path, MODEL_ROUTES[path])
            assert (status, body["error"]["code"]) == (503, "CM-MOD-05")
            assert (await ana.get("/health"))[1]["status"] == "stopped"

    asyncio.run(main())


@pytest.mark.parametrize("path", MODEL_ROUTES)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_stop_ends_what_runs_within_two_seconds_on_every_worker(
    site: Site, path: str, *, streamed: bool
) -> None:
    async def main() -> None:
        engines = engine(site.engine), engine(site.embedder)
        workers = gateway(site, "gateway-0"), gateway(site, "gateway-1")
        async with (
            engines[0] as chat, engines[1] as embedder, workers[0] as ana, workers[1] as bob
        ):  # fmt: skip
            chat.words, chat.pause = ["mot "] * 500, 0.05
            embedder.hold()
            body = {**MODEL_ROUTES[path], **({"stream": True} if streamed else {})}
            if path == "/v1/embeddings":
                body.pop("stream", None)
            asking = [
                asyncio.create_task(raw(one, path, body)) for one in (ana, bob) for _ in "ab"
            ]
            await asyncio.sleep(0.6)
            assert not any(task.done() for task in asking)
            async with asyncio.timeout(2):
                await stop(bob)
                answers = await asyncio.gather(*asking)
            assert all(b"CM-MOD-05" in answer for answer in answers)
            ends = (await calls(site))[-4:]
            assert kinds(ends) == ["llm.interrupted"] * 4
            assert {e["finish"] for e in ends} == {"stopped"}
            embedder.held.set()

    asyncio.run(main())


async def raw(one: Client, path: str, body: Json) -> bytes:
    async with one.http.post(f"http://g{path}", json=body, headers=one.headers) as answer:
        return await answer.read()


def test_starting_again_takes_two_people(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            await stop(ana)
            rene, rita = ana.as_("rene", roles=["rssi"]), ana.as_("rita", roles=["rssi"])

            async def approve(person: Client) -> tuple[int, bool | None]:
                status, body, _ = await person.post("/v1/service/approve", {})
                return status, body.get("stopped")

            assert await approve(rene) == (200, True)
            assert await approve(rene) == (409, None)
            assert (await ana.chat())[0] == 503
            assert await approve(rita) == (200, False)
            assert await approve(rita) == (409, None)
            assert (await ana.chat())[0] == 200
            found = kinds(await records(site))
            assert found.count("service.stop") == 1

    asyncio.run(main())


SCOPES = [
    ("POST", "/v1/chat/completions", ["auditeur"], 403),
    ("POST", "/v1/chat/completions", ["utilisateur"], 200),
    ("POST", "/v1/embeddings", ["auditeur"], 403),
    ("POST", "/v1/embeddings", ["utilisateur"], 200),
    ("GET", "/v1/models", ["auditeur"], 200),
    ("POST", "/v1/service/approve", ["exploitant"], 403),
    ("POST", "/v1/service/approve", ["rssi"], 409),  # nothing is stopped
    ("POST", "/v1/service/stop", ["utilisateur"], 403),
    ("POST", "/v1/service/stop", ["exploitant"], 200),
]


def test_each_route_asks_for_its_scope(site: Site) -> None:
    async def status(one: Client, method: str, path: str) -> int:
        if method == "GET":
            return (await one.get(path))[0]
        return (await one.post(path, MODEL_ROUTES.get(path, {})))[0]

    async def main() -> None:
        async with engine(site.engine), engine(site.embedder), gateway(site) as ana:
            nobody = Client(ana.http, ana.realm, "x")
            for method, path, roles, expected in SCOPES:
                person = ana.as_(f"as-{roles[0]}", roles=roles)
                assert await status(nobody, method, path) == 401, path
                assert await status(person, method, path) == expected, (path, roles)

    asyncio.run(main())


def test_a_person_sees_the_models_they_may_use(site: Site) -> None:
    async def main() -> None:
        async with gateway(site) as ana:

            async def names(one: Client) -> list[str]:
                return [card["id"] for card in (await one.get("/v1/models"))[1]["data"]]

            assert await names(ana) == ["chat", "perdu", "vecteurs"]
            chief = ana.as_("chef", roles=["exploitant"])
            assert await names(chief) == ["chat", "perdu", "reserve"]
            assert await names(ana.as_("aude", roles=["auditeur"])) == []

    asyncio.run(main())


def test_a_bad_body_of_the_switch_is_refused_and_nothing_stops(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            rssi = ana.as_("rene", roles=["rssi"])
            for body in (b"", b"[]", b'{"why":"x"}', b"x" * 10_000):
                status, error, _ = await rssi.post("/v1/service/stop", body)
                assert status in {400, 413}
                assert error["error"]["code"].startswith("CM-NET-")
            assert (await ana.chat())[0] == 200

    asyncio.run(main())


def test_a_worker_that_joins_a_stopped_service_is_stopped(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            await stop(ana)
            async with gateway(site, "gateway-1"), client(site, "gateway-1") as bob:
                assert (await bob.chat())[1]["error"]["code"] == "CM-MOD-05"

    asyncio.run(main())

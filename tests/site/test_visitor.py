"""The visitor on a small site of forms: the ones of Keycloak and of the console."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from appliance.site.machine import free_ports
from appliance.site.visitor import Reply, VisitError, Visitor

FORM = '<form action="{action}" method="post">{fields}</form>'
LOGIN = FORM.format(
    action="/auth/login?x=1",
    fields='<input name="username"><input name="password"><input name="id" value="k">',
)
CODE = FORM.format(action="/auth/code", fields='<input name="otp">')
QUESTION = (
    FORM.format(
        action="/question",
        fields='<input type="hidden" name="csrf" value="t0ken"><textarea name="q"></textarea>',
    )
    + '<input type="checkbox" name="collection" value="open" checked form="poser">'
)
ANSWER = """<main><article class="turn"><div class="answer">Deux jours.</div>
<a href="/journal/7">preuve</a><a href="/journal/7/recu" download>reçu</a></article></main>
<aside id="sources"><a class="source"><span class="strong">Note</span></a></aside>"""


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


class Site:
    """Forms that remember what was sent."""

    def __init__(self, *, second_factor: bool, answer: str = ANSWER) -> None:
        self.second_factor, self.answer = second_factor, answer
        self.sent: list[dict[str, str]] = []
        self.origins: set[str | None] = set()

    async def home(self, request: web.Request) -> web.Response:
        if "session" in request.cookies:
            return _html("<main>Bienvenue</main>")
        raise web.HTTPFound("/auth/login")

    async def login(self, _: web.Request) -> web.Response:
        response = _html(LOGIN)
        response.set_cookie("restart", "1", secure=True, samesite="None")
        return response

    async def signed(self, request: web.Request) -> web.Response:
        await self._keep(request)
        if "restart" not in request.cookies:
            return _html("no cookie")
        if self.second_factor and request.path == "/auth/login":
            return _html(CODE)
        response = web.HTTPSeeOther("/")
        response.set_cookie("session", "1")
        raise response

    async def ask(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return _html(QUESTION)
        await self._keep(request)
        return _html(self.answer)

    async def receipt(self, request: web.Request) -> web.Response:
        return web.Response(body=b"receipt", status=int(request.query.get("status", "200")))

    async def _keep(self, request: web.Request) -> None:
        self.sent.append({key: str(value) for key, value in (await request.post()).items()})
        self.origins.add(request.headers.get("Origin"))


def _visit(site: Site, scenario: Callable[[Visitor], Awaitable[object]]) -> object:
    async def run() -> object:
        application = web.Application()
        routes = application.router
        routes.add_get("/", site.home)
        routes.add_get("/connexion", site.home)
        routes.add_get("/auth/login", site.login)
        routes.add_post("/auth/login", site.signed)
        routes.add_post("/auth/code", site.signed)
        routes.add_route("*", "/question", site.ask)
        routes.add_get("/journal/7/recu", site.receipt)
        runner = web.AppRunner(application)
        await runner.setup()
        (port,) = free_ports(1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            async with Visitor(f"http://localhost:{port}") as visitor:
                return await scenario(visitor)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


async def _sign_in(visitor: Visitor) -> str:
    page = await visitor.sign_in("alix", "pass", lambda: "123456")
    return page.text("//main")


def test_a_person_signs_in_through_the_form() -> None:
    site = Site(second_factor=False)

    assert _visit(site, _sign_in) == "Bienvenue"
    assert site.sent == [{"username": "alix", "password": "pass", "id": "k"}]


def test_a_code_is_given_when_it_is_asked_for() -> None:
    site = Site(second_factor=True)

    assert _visit(site, _sign_in) == "Bienvenue"
    assert site.sent[1] == {"otp": "123456"}


def test_a_page_without_the_expected_form_is_an_error() -> None:
    site = Site(second_factor=True)

    with pytest.raises(VisitError, match="unexpected page"):
        _visit(site, lambda visitor: visitor.sign_in("alix", "pass", None))


def test_a_question_is_sent_with_its_token_and_the_chosen_collections() -> None:
    site = Site(second_factor=False)
    reply = _visit(site, lambda visitor: visitor.ask("Combien ?"))

    assert site.sent == [{"csrf": "t0ken", "q": "Combien ?", "collection": "open"}]
    assert isinstance(reply, Reply)
    assert (reply.text, reply.sources) == ("Deux jours.", ["Note"])
    assert reply.receipt.endswith("/journal/7/recu")
    (origin,) = site.origins
    assert str(origin).startswith("http://localhost:")


def test_a_page_without_an_answer_is_an_error() -> None:
    site = Site(second_factor=False, answer="<main>Journal indisponible</main>")

    with pytest.raises(VisitError, match="Journal indisponible"):
        _visit(site, lambda visitor: visitor.ask("Combien ?"))


def test_a_file_is_downloaded_whole_or_refused() -> None:
    site = Site(second_factor=False)

    assert _visit(site, lambda visitor: visitor.download("/journal/7/recu")) == b"receipt"
    with pytest.raises(VisitError, match="404"):
        _visit(site, lambda visitor: visitor.download("/journal/7/recu?status=404"))

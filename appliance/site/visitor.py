"""A person at a browser without JavaScript: signs in, asks, reads, takes the receipt.

Used by `casemate smoke` and by the tests of the whole stack: it knows only what a browser is
shown, forms and links, so it goes through Keycloak, haproxy, console, gateway and recorder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast
from urllib.parse import urljoin

import aiohttp
from lxml import html
from yarl import URL

from appliance.errors import ApplianceError

FORMS_MAX = 6  # pages of forms before one is signed in


class VisitError(ApplianceError):
    """A page is not what a person would need to go on; the message says which."""

    code = "CM-NET-05"


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was answered."""

    address: str
    status: int
    root: html.HtmlElement

    def text(self, xpath: str) -> str:
        """Return the text of the first element found, its spaces made single; empty if none."""
        found = self.root.xpath(xpath)
        return " ".join(found[0].text_content().split()) if found else ""

    def links(self, xpath: str) -> list[str]:
        """Return the absolute addresses of links, in order."""
        return [urljoin(self.address, href) for href in self.root.xpath(f"{xpath}/@href")]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a question, as the page shows it."""

    text: str
    sources: list[str]  # titles
    receipt: str  # address of the receipt file


class Visitor:
    """One browser: cookies of its own."""

    def __init__(self, origin: str) -> None:
        """Visit `origin`, such as http://localhost:8080."""
        self.origin = origin
        timeout = aiohttp.ClientTimeout(total=90)
        # As browsers do for localhost: Keycloak marks its cookies as secure there.
        jar = aiohttp.CookieJar(treat_as_secure_origin=URL(origin))
        self._http = aiohttp.ClientSession(timeout=timeout, cookie_jar=jar)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def get(self, address: str) -> Page:
        """Open an address of the origin."""
        async with self._http.get(urljoin(self.origin, address)) as answer:
            return await _page(answer)

    async def download(self, address: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            VisitError: It is refused.
        """
        async with self._http.get(urljoin(self.origin, address)) as answer:
            if answer.status != 200:  # noqa: PLR2004 - HTTP
                raise VisitError(f"{answer.url.path}: {answer.status}")
            return await answer.read()

    async def post(self, address: str, fields: Mapping[str, str]) -> Page:
        """Send a form."""
        headers = {"Origin": self.origin}
        async with self._http.post(
            urljoin(self.origin, address), data=fields, headers=headers
        ) as answer:
            return await _page(answer)

    async def sign_in(self, name: str, password: str, code: Callable[[], str] | None) -> Page:
        """Sign in through the forms that are shown; return the page on which one lands.

        Args:
            name: Of the account.
            password: Its password.
            code: Makes a one-time code, for the accounts that need one.

        Raises:
            VisitError: The forms go on, or ask for something else.
        """
        page = await self.get("/connexion")
        for _ in range(FORMS_MAX):
            if "/auth/" not in page.address:
                return page
            page = await self._answer_form(page, name, password, code)
        raise VisitError(f"sign-in did not end: {page.text('//body')[:300]}")

    async def _answer_form(
        self, page: Page, name: str, password: str, code: Callable[[], str] | None
    ) -> Page:
        for form in page.root.forms:
            fields = {key: str(value or "") for key, value in form.fields.items()}
            if "password" in fields:
                return await self.post(
                    form.action, fields | {"username": name, "password": password}
                )
            if "otp" in fields and code is not None:
                return await self.post(form.action, fields | {"otp": code()})
        raise VisitError(f"unexpected page: {page.address} {page.text('//body')[:300]}")

    async def ask(self, question: str, collections: list[str] | None = None) -> Reply:
        """Ask a question in the console and return what the page then shows.

        Raises:
            VisitError: The page shows a problem instead.
        """
        page = await self.get("/question")
        (form,) = (form for form in page.root.forms if form.action.endswith("/question"))
        fields = aiohttp.FormData(
            [(key, str(value)) for key, value in form.form_values() if key != "q"]
        )
        fields.add_field("q", question)
        chosen = page.root.xpath('//input[@name="collection"][@checked]/@value')
        for slug in collections if collections is not None else chosen:
            fields.add_field("collection", slug)
        headers = {"Origin": self.origin}
        async with self._http.post(page.address, data=fields, headers=headers) as answer:
            return _reply(await _page(answer))


async def _page(answer: aiohttp.ClientResponse) -> Page:
    body = await answer.text("utf-8", "replace")
    root = cast("html.HtmlElement", html.fromstring(body or "<html></html>"))
    root.make_links_absolute(str(answer.url))
    return Page(str(answer.url), answer.status, root)


def _reply(page: Page) -> Reply:
    turn = "//article[contains(@class, 'turn')][last()]"
    text = page.text(f"{turn}//div[contains(@class, 'answer')]")
    receipts = page.links(f"{turn}//a[contains(@href, '/recu')]")
    if not text or not receipts:
        raise VisitError(f"no answer: {page.status} {page.text('//main')[:500]}")
    titles = [
        " ".join(source.text_content().split())
        for source in page.root.xpath(
            "//aside[@id='sources']//a[@class='source']//span[@class='strong']"
        )
    ]
    return Reply(text, titles, receipts[0])

"""Chromium at the running console: what it asked for, what it complained of, what axe finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from appliance.console.assets import ROOT
from tests.console.stand import Stand

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--no-first-run",
]  # fmt: skip
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (390, 768, 1280, 1920)


@dataclass
class Watched:
    """A page, and what went wrong on it."""

    page: Page
    origin: str
    outside: list[str] = field(default_factory=list)  # requests that left the origin
    complaints: list[str] = field(default_factory=list)  # errors, refusals of the policy

    def open(self, path: str) -> None:
        self.page.goto(f"{self.origin}{path}")
        self.page.evaluate("document.fonts.ready.then(() => true)")

    def saw(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.outside.append(request.url)

    def heard(self, message: ConsoleMessage) -> None:
        refused = "status of 40" in message.text or "status of 50" in message.text
        if message.type in {"error", "warning"} and not refused:  # a page of an error is one
            self.complaints.append(f"{self.page.url}: {message.text}")

    def violations(self) -> list[str]:
        """Return what axe-core finds on the page as it is."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))
        # A change of theme fades in: colours on their way would be measured.
        self.page.evaluate(
            """for (const moving of document.getAnimations())
              if (moving instanceof CSSTransition) moving.finish()"""
        )
        run = """tags => axe.run(document, {
          runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})"""
        found: dict[str, Any] = self.page.evaluate(run, TAGS)
        return [
            f"{violation['id']}: {node['target']} {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def overflow(self) -> int:
        """Return how many pixels the page is wider than the window."""
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(wide))


@contextmanager
def watched(
    browser: Browser, stand: Stand, cookie: str = "", **options: Any
) -> Iterator[Watched]:
    """Lend a page of somebody's browser; nothing may have gone wrong at the end."""
    wanted = {"locale": "fr-FR", "timezone_id": "Europe/Paris", "reduced_motion": "reduce"}
    context = browser.new_context(**{**wanted, **options})
    if cookie:
        context.add_cookies([{"name": "casemate", "value": cookie, "url": stand.origin}])
    seen = Watched(context.new_page(), stand.origin)
    context.on("request", seen.saw)
    seen.page.on("console", seen.heard)
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    try:
        yield seen
        assert seen.outside == []
        assert seen.complaints == []
    finally:
        context.close()

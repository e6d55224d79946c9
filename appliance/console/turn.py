"""A question with what came of it, as the page shows it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from markupsafe import Markup, escape

from appliance.console.answer import Links, blocks, cited
from appliance.console.gateway import Given, Receipt
from appliance.console.language import mark
from appliance.console.problem import Problem
from appliance.rag.document import PageText

NEAREST = 4  # passages shown when none answers
_NOTHING = Markup()
STATES = {"in_force": "", "replaced": mark("remplacé"), "repealed": mark("abrogé")}


class Marked(Protocol):
    """A page of a source. `rag.documents.PageText` is one."""

    @property
    def text(self) -> str:
        """Its text."""
        ...

    @property
    def start(self) -> int:
        """Where the passage begins."""
        ...

    @property
    def end(self) -> int:
        """Where it ends; 0 without a passage."""
        ...


@dataclass(frozen=True, slots=True)
class Paper:
    """A page of a source as it is drawn, with the passage marked."""

    document: str
    collection: str
    title: str
    label: int
    page: int
    pages: int
    state: str
    dated: object
    end: int
    marked: Markup

    @property
    def state_text(self) -> str:
        """Return the state as a msgid."""
        return STATES.get(self.state, "")


@dataclass(frozen=True, slots=True)
class Source:
    """A passage beside an answer."""

    n: int
    title: str
    place: str
    label: int
    state: str
    href: str
    page: Paper | None = None  # None: deleted since, or no longer open to this person
    page_text: str = ""

    @property
    def state_text(self) -> str:
        """Return the state of the document as a msgid."""
        return STATES.get(self.state, "")


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer, refusal, or absence of one."""

    key: str  # of the anchors on the page
    question: str
    at: datetime
    html: Markup = _NOTHING
    model: str = ""
    label: int = 0
    outcome: str = ""
    sources: Sequence[Given] = ()
    cited: Sequence[int] = ()
    receipt: Receipt | None = None
    extractive: bool = False
    documents: bool = False  # document mode: no engine was asked
    stopped: bool = False  # by the person
    interrupted: Problem | None = None  # why the answer ended too early
    problem: Problem | None = None

    @property
    def ungrounded(self) -> bool:
        """Say whether the model answered without any document."""
        return not self.outcome and not self.documents and not self.problem

    def shown(self) -> list[Given]:
        """Return the passages that belong beside the answer."""
        if self.outcome in {"none", "nearby"}:
            return list(self.sources[:NEAREST])
        by_number = {given.n: given for given in self.sources}
        return [by_number[n] for n in self.cited if n in by_number]


@dataclass(frozen=True, slots=True)
class Panel:
    """The sources beside a conversation: those of one of its answers."""

    key: str = ""
    shown: Sequence[Source] = ()
    nearby: bool = False
    labels: Sequence[int] = field(default=())


def answered(turn: Turn, text: str, label_of_source: str) -> Turn:
    """Return the turn with its answer drawn and its citations checked."""
    links = links_of(turn.key, turn.sources, label_of_source)
    return replace(turn, html=blocks(text, links), cited=cited(text, links.hrefs))


def links_of(key: str, sources: Sequence[Given], label_of_source: str) -> Links:
    """Return where the citations of an answer lead: to the page, with the passage marked."""
    hrefs = {given.n: f"/source/{given.document}/{given.passage}" for given in sources}
    return Links(key, hrefs, label_of_source)


def highlighted(page: Marked) -> Markup:
    """Return the text of a page, escaped, with its passage marked."""
    if not 0 <= page.start < page.end <= len(page.text):
        return escape(page.text)
    before, inside = page.text[: page.start], page.text[page.start : page.end]
    html = Markup('{}<mark id="passage">{}</mark>{}')
    return html.format(before, inside, page.text[page.end :])


def paper(page: PageText) -> Paper:
    """Return a page of a source as it is drawn."""
    return Paper(
        document=str(page.document),
        collection=page.collection,
        title=page.title,
        label=page.label,
        page=page.page,
        pages=page.pages,
        state=page.state,
        dated=page.dated,
        end=page.end,
        marked=highlighted(page),
    )


def place_of(given: Given, *, paged: bool) -> str:
    """Return where a passage stands, such as « p. 3 · Durée »."""
    page = f"p.\u00a0{given.place.page}" if paged else ""
    return " · ".join(part for part in (page, given.place.section) if part)


def source(given: Given, page: PageText | None, where: str = "%(page)s / %(pages)s") -> Source:
    """Return a passage with the page that it opens, if this person may still read it."""
    if page is None:
        return Source(
            given.n, given.title, place_of(given, paged=False), given.label, given.state, ""
        )
    href = f"/documents/{page.collection}/{page.document}?passage={given.passage}#passage"
    return Source(
        n=given.n,
        title=given.title,
        place=place_of(given, paged=page.paged),
        label=page.label,
        state=page.state,
        href=href,
        page=paper(page),
        page_text=where % {"page": page.page, "pages": page.pages},
    )


def panel_of(turn: Turn, sources: Sequence[Source]) -> Panel:
    """Return the panel of one answer."""
    labels = [one.label for one in sources]
    return Panel(turn.key, sources, turn.outcome in {"none", "nearby"}, labels)

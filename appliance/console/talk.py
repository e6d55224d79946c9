"""A conversation as its page shows it: turns, sources, collections, what was asked lately."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from psycopg import AsyncConnection

from appliance.audit.client import RecorderError
from appliance.console.context import Visit
from appliance.console.history import Conversation
from appliance.console.menu import ASK
from appliance.console.page import HIGHEST, NO_CONTENT, Shell, highest
from appliance.console.questions import Ended, panel
from appliance.console.turn import Panel, Turn
from appliance.identity.policy import Policy
from appliance.identity.principal import Principal
from appliance.rag.document import Collection
from appliance.rag.documents import list_documents, visible_collections

RECENT, STARTERS = 5, 4
ORDINARY = 1  # labels up to this one are chosen beforehand


@dataclass(frozen=True, slots=True)
class Talk:
    """What the page of a conversation shows."""

    conversation: UUID
    turns: Sequence[Turn]
    panel: Panel
    recents: Sequence[Conversation]
    collections: Sequence[Collection]
    chosen: Sequence[str]
    draft: str = ""
    starters: Sequence[str] = ()
    team: str = ""
    guided: bool = False

    @property
    def rank(self) -> int:
        """Return the highest label of what is displayed."""
        shown = [turn.label for turn in self.turns] + list(self.panel.labels)
        return highest(shown + [item.label for item in self.recents])

    def values(self, visit: Visit) -> dict[str, Any]:
        """Return what the templates name."""
        names = (
            "turns",
            "panel",
            "recents",
            "collections",
            "chosen",
            "draft",
            "starters",
            "team",
            "guided",
        )
        values = {name: getattr(self, name) for name in names}
        teams = visit.caller.teams
        return {**values, "conversation": self.conversation, "teams": teams}

    def shell(self, visit: Visit) -> Shell:
        """Return what surrounds the conversation, marked as its content is."""
        return visit.shell(self.rank, HIGHEST if self.rank else NO_CONTENT, ASK.href)

    def joined(self, ended: Ended, draft: str = "") -> "Talk":
        """Return the conversation with a turn that the history may not have yet."""
        last = ended.turn.receipt
        known = [turn for turn in self.turns if not last or _index(turn) != last.index]
        beside = self.panel if ended.turn.problem else ended.panel
        return replace(
            self,
            turns=[*known, ended.turn],
            panel=beside,
            draft=draft,
            starters=(),
            guided=False,
        )  # fmt: skip


def _index(turn: Turn) -> int | None:
    return turn.receipt.index if turn.receipt else None


async def new_talk(visit: Visit, draft: str, *, guided: bool) -> Talk:
    """Return a conversation that has not begun."""
    async with visit.transaction() as conn:
        collections = await visible_collections(conn)
        recents = await _recents(conn, visit)
        starters = await _starters(conn, visit, collections)
    chosen = ordinary(collections)
    return Talk(uuid4(), [], Panel(), recents, collections, chosen, draft, starters, "", guided)


async def _recents(conn: AsyncConnection, visit: Visit) -> list[Conversation]:
    """Return the latest conversations; none while the log, which holds their keys, is away."""
    if not visit.state.recorder:
        return []
    try:
        return await visit.console.history.conversations(conn, visit.words, RECENT)
    except RecorderError:
        return []


async def _starters(
    conn: AsyncConnection, visit: Visit, collections: Sequence[Collection]
) -> list[str]:
    """Return questions to try, from titles that carry no marking."""
    text = visit.language.text("Que prévoit « %s » ?")
    found: list[str] = []
    for collection in collections:
        if collection.label == 0 and len(found) < STARTERS:
            documents = await list_documents(conn, collection.slug, limit=STARTERS)
            found += [text % item.title for item in documents if item.pages]
    return found[:STARTERS]


async def talk_of(visit: Visit, conversation: UUID, chosen: Sequence[str], team: str) -> Talk:
    """Return a conversation as the history has it.

    Raises:
        RecorderError: The log is away: what was asked before cannot be opened.
    """
    history, models = visit.console.history, extractive(visit.console.policy)
    async with visit.transaction() as conn:
        collections = await visible_collections(conn)
        recents = await _recents(conn, visit)
        turns, kept = await history.turns(conn, conversation, visit.words, models)
        beside = await panel(conn, visit, turns[-1]) if turns else Panel()
    picked = chosen or kept or ordinary(collections)
    return Talk(conversation, turns, beside, recents, collections, picked, team=team)


def model_for(policy: Policy, caller: Principal) -> str:
    """Return the chat model that answers this person."""
    if policy.default_model:
        return policy.default_model
    for name, model in policy.models.items():
        if model.kind == "chat" and (not model.roles or caller.roles & set(model.roles)):
            return name
    return ""


def extractive(policy: Policy) -> frozenset[str]:
    """Return the models that quote and do not write."""
    return frozenset(name for name, model in policy.models.items() if model.extractive)


def ordinary(collections: Sequence[Collection]) -> list[str]:
    """Return the collections chosen beforehand: those that do not raise the marking much."""
    low = [item.slug for item in collections if item.label <= ORDINARY]
    return low or [item.slug for item in collections]

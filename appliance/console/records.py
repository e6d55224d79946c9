"""Leaves of the log in the words of the pages. Pure."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from appliance.audit.event import Fact, Intent, Leaf, Terminal, event_type
from appliance.audit.event import Kind as Type
from appliance.audit.tree import leaf_hash
from appliance.console.language import Language, mark

_MICRO = 1_000_000
_PREFIX, _SUFFIX = "casemate.", ".v1"


@dataclass(frozen=True, slots=True)
class Words:
    """How a type of event is named. Texts are msgids."""

    title: str
    icon: str
    result: str = ""
    kind: str = ""  # class of the badge


_WORDS: dict[str, Words] = {
    "llm.request": Words(mark("Demande admise"), "icon:message-square-text", mark("admise")),
    "llm.completion": Words(mark("Réponse achevée"), "icon:flag", mark("achevée"), "ok"),
    "llm.interrupted": Words(
        mark("Réponse interrompue"), "icon:square", mark("interrompue"), "warn"
    ),
    "llm.error": Words(mark("Réponse en échec"), "icon:circle-alert", mark("échec"), "bad"),
    "llm.refused": Words(mark("Demande refusée"), "icon:ban", mark("refusée"), "bad"),
    "budget.change": Words(mark("Budget modifié"), "icon:wallet"),
    "auth.login": Words(mark("Connexion"), "icon:log-in"),
    "auth.logout": Words(mark("Déconnexion"), "icon:log-out"),
    "auth.denied": Words(mark("Identité refusée"), "icon:user-x", mark("refusée"), "warn"),
    "authz.denied": Words(mark("Accès refusé"), "icon:ban", mark("refusé"), "warn"),
    "rag.retrieve": Words(mark("Recherche de passages"), "icon:search"),
    "rag.ingest": Words(mark("Document déposé"), "icon:file-plus"),
    "rag.delete": Words(mark("Document supprimé"), "icon:trash-2"),
    "rag.open": Words(mark("Source ouverte"), "icon:eye"),
    "rag.collection": Words(mark("Collection modifiée"), "icon:folder"),
    "key.issue": Words(mark("Clé d’application créée"), "icon:key-round"),
    "key.revoke": Words(mark("Clé d’application révoquée"), "icon:key-round"),
    "key.issue content": Words(mark("Clé de lecture du mois créée"), "icon:key-round"),
    "key.revoke content": Words(mark("Clé de lecture détruite"), "icon:key-round"),
    "service.stop": Words(mark("Service arrêté"), "icon:octagon-x", mark("arrêté"), "bad"),
    "service.approve": Words(mark("Reprise approuvée"), "icon:circle-play"),
    "service.degraded": Words(
        mark("Service dégradé"), "icon:triangle-alert", mark("dégradé"), "warn"
    ),
    "service.restored": Words(
        mark("Service rétabli"), "icon:circle-check", mark("rétabli"), "ok"
    ),
    "policy.change": Words(mark("Politique modifiée"), "icon:sliders-horizontal"),
    "config.change": Words(mark("Réglage modifié"), "icon:sliders-horizontal"),
    "human.review": Words(mark("Avis d’une personne"), "icon:thumbs-up"),
    "content.read": Words(mark("Contenu lu"), "icon:lock-keyhole-open"),
    "content.erase": Words(mark("Effacement de contenus"), "icon:eraser"),
    "content.erased": Words(
        mark("Clés de contenus détruites"), "icon:eraser", mark("effacés"), "ok"
    ),
    "audit.start": Words(mark("Journal démarré"), "icon:book-check"),
    "audit.stop": Words(mark("Journal arrêté"), "icon:book-check"),
    "audit.search": Words(mark("Journal consulté"), "icon:search"),
    "audit.degraded": Words(mark("Journal dégradé"), "icon:triangle-alert", "", "warn"),
    "install.phase": Words(mark("Phase d’installation"), "icon:badge-check"),
    "audit.read": Words(mark("Événement ouvert"), "icon:file-search"),
    "audit.export": Words(mark("Journal emporté"), "icon:package-check"),
    "audit.anchor": Words(mark("Journal ancré"), "icon:anchor", mark("ancré"), "ok"),
    "audit.epoch": Words(mark("Nouvelle époque du journal"), "icon:milestone", "", "warn"),
    "audit.heartbeat": Words(mark("Signe de vie"), "icon:heart-pulse"),
    "audit.loss": Words(mark("Lignes perdues"), "icon:triangle-alert", mark("perte"), "bad"),
    "audit.prune": Words(mark("Événements éliminés"), "icon:scissors"),
    "admin.access": Words(mark("Accès d’un administrateur"), "icon:server"),
    "admin.role": Words(mark("Rôle modifié"), "icon:user-cog"),
    "admin.user": Words(mark("Compte modifié"), "icon:user-cog"),
    "content.approve": Words(mark("Accord de lecture"), "icon:lock-keyhole"),
    "evidence.observe": Words(mark("Mesure de conformité"), "icon:scan-eye"),
    "gate.decide": Words(mark("Décision de jalon"), "icon:gavel"),
    "human.flag": Words(mark("Réponse signalée"), "icon:flag", "", "warn"),
    "key.rotate": Words(mark("Clé du journal changée"), "icon:key-round"),
    "model.load": Words(mark("Modèle chargé"), "icon:cpu"),
    "service.boot": Words(mark("Machine démarrée"), "icon:power"),
    "tool.call": Words(mark("Outil appelé"), "icon:wrench"),
    "tool.result": Words(mark("Réponse d’un outil"), "icon:wrench"),
    "clock.step": Words(mark("Saut d’horloge"), "icon:clock", "", "warn"),
}
_OTHER = Words(mark("Autre événement"), "icon:scroll-text")


@dataclass(frozen=True, slots=True)
class Value:
    """A value on the sheet of a record."""

    text: str
    mono: bool = False
    label: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One leaf."""

    index: int
    at: datetime
    actor: str
    label: int
    request: str
    leaf: str  # base64 of its hash
    text: str  # as it is signed
    words: Words
    about: str
    event: object = field(repr=False)

    @property
    def title(self) -> str:
        """Return what happened, a msgid."""
        return self.words.title

    @property
    def icon(self) -> str:
        """Return its icon."""
        return self.words.icon

    @property
    def result(self) -> str:
        """Return how it ended, a msgid or empty."""
        return self.words.result

    @property
    def kind(self) -> str:
        """Return the class of its badge."""
        return self.words.kind

    @property
    def ends(self) -> bool:
        """Say whether it ends a request."""
        return isinstance(self.event, Terminal)


def read(stored: bytes, language: Language) -> Record:
    """Return a stored leaf in words.

    Raises:
        FormatError: Not the bytes of a leaf.
    """
    leaf = Leaf.parse(stored)
    event = leaf.event
    short = event_type(event).removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return Record(
        index=leaf.index,
        at=datetime.fromtimestamp(leaf.at / _MICRO, UTC),
        actor=event.actor,
        label=getattr(event, "label", 0),
        request=getattr(event, "request", None) or "",
        leaf=base64.b64encode(leaf_hash(stored)).decode(),
        text=stored.decode(),
        words=_words(short, event),
        about=_about(event, language),
        event=event,
    )


def title_of(kind: str) -> str:
    """Return what a type is called, a msgid. `kind`: such as `llm.request`."""
    return _WORDS.get(kind, _OTHER).title


def _words(kind: str, event: object) -> Words:
    """Return the words of an event; keys of the reader are no keys of applications."""
    use = event.data.get("use", "") if isinstance(event, Fact) else ""
    return _WORDS.get(f"{kind} {use}") or _WORDS.get(kind, _OTHER)


def _about(event: object, language: Language) -> str:
    """Return what the event is about, in a few words."""
    tokens = language.text("%s jetons")
    if isinstance(event, Intent):
        reserved = language.number(max(event.reserve.values(), default=0))
        return f"{event.model}, " + language.text("%s jetons réservés") % reserved
    if isinstance(event, Terminal):
        count = tokens % language.number(event.prompt_tokens + event.completion_tokens)
        return f"{event.reason}, {count}" if event.reason else count
    if isinstance(event, Fact):
        shown = [f"{value}" for name, value in event.data.items() if name in _SHOWN]
        return ", ".join(shown)
    budget = getattr(event, "budget", "")
    limit = tokens % language.number(getattr(event, "limit", 0))
    return f"{budget}, {limit}"


_SHOWN = (
    "name", "title", "reason", "route", "part", "collection", "collections", "count", "kind",
    "size", "user", "role", "action", "phase", "page", "q", "record",
)  # fmt: skip
_NAMES: dict[str, str] = {
    "id": mark("Identifiant"),
    "request": mark("Demande"),
    "actor": mark("Personne"),
    "model": mark("Modèle"),
    "operation": mark("Opération"),
    "outcome": mark("Issue"),
    "finish": mark("Fin"),
    "reason": mark("Motif"),
    "status": mark("Statut du modèle"),
    "prompt_tokens": mark("Jetons lus"),
    "completion_tokens": mark("Jetons écrits"),
    "content": mark("Contenu"),
    "policy": mark("Politique"),
    "flags": mark("Filtres déclenchés"),
}
_VALUES = {
    ("outcome", "answer"): mark("réponse étayée"),
    ("outcome", "nearby"): mark("passages proches"),
    ("outcome", "none"): mark("sans réponse"),
    ("content", "sealed"): mark("chiffré, hors du journal"),
    ("content", "none"): mark("non conservé"),
}
_MONO = frozenset({"id", "request", "policy", "actor"})
LABEL = mark("Marquage")


def facts(record: Record, language: Language) -> list[tuple[str, Value]]:
    """Return the sheet of a record: names are msgids."""
    rows = [(LABEL, Value("", label=record.label))]
    for name, title in _NAMES.items():
        value = getattr(record.event, name, None)
        if isinstance(value, list):
            value = ", ".join(value) or "—"
        if value not in (None, ""):
            told = _VALUES.get((name, str(value)))
            shown = language.text(told) if told else str(value)
            rows.append((title, Value(shown, mono=name in _MONO)))
    data = record.event.data if isinstance(record.event, Fact) else {}
    return rows + [(name, Value(str(value), mono=True)) for name, value in data.items()]


def names_in(records: Sequence[Record]) -> dict[str, str]:
    """Return the names of people that sign-in events tell."""
    return {
        record.actor: str(record.event.data["name"])
        for record in records
        if isinstance(record.event, Fact)
        and record.event.kind == Type.AUTH_LOGIN
        and "name" in record.event.data
    }


def thread(records: Sequence[Record], one: Record) -> list[Record]:
    """Return the events of the same request, in order."""
    if not one.request:
        return [one]
    return sorted(
        (record for record in records if record.request == one.request),
        key=lambda record: record.index,
    )

"""The versioned list of events: each type, who writes it, when, with which fields, its class.

What people read of it (`docs/evenements.fr.md`, `docs/events.en.md`) is made from
`catalogue.toml` and from the types themselves, so that neither can drift from the other.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from appliance.audit import ocsf
from appliance.audit.event import FACTS, HOT, type_of
from appliance.audit.verdict import Language

FR, EN = Language.FR, Language.EN
_PREFIX, _SUFFIX = "casemate.", ".v1"
_COMMON = {"actor", "id", "label", "request"}  # every event has them, or may have

TITLE: Mapping[Language, str] = {FR: "Événements du journal", EN: "Events of the log"}
INTRO: Mapping[Language, str] = {
    FR: """\
Ce fichier est produit par `casemate audit events --language fr` : version {version} de la
liste, version {mapping} de la table vers OCSF {schema}. Un type n’est jamais modifié ni
réutilisé : un sens nouveau prend un numéro nouveau (`.v2`).

Un enregistrement (une feuille) porte `index` (l’ordre fait foi), `at` (horloge murale, en
microsecondes, telle quelle), `mono` et `boot` (horloge monotone et démarrage), `uid` (le
programme, selon le noyau : il ne peut pas en dire un autre) et `event`. Un événement porte
`type`, `actor` (qui agit), `id` (le redire ne l’écrit pas deux fois), parfois `request` (la
demande dont il fait partie), `label` (son niveau) et ses champs propres. Il ne porte jamais une
question, une réponse, un passage, un mot de passe ni ce qu’un inconnu a tapé.

Ce qui vient de Keycloak est complet relativement à la table d’événements de Keycloak : chaque
ligne y est, une fois, sauf les étapes d’une connexion qu’une autre ligne dit déjà et les jetons
que nos propres services prennent chaque minute sur la machine. Si quelqu’un coupe ces
événements, la coupure est elle-même dans le journal.
""",
    EN: """\
This file is made by `casemate audit events --language en`: version {version} of the list,
version {mapping} of the table to OCSF {schema}. A type is never changed nor used again: a new
meaning takes a new number (`.v2`).

A record (a leaf) has `index` (the order is binding), `at` (wall clock in microseconds, as it
was), `mono` and `boot` (monotonic clock and boot), `uid` (the program, as the kernel says: it
cannot name another one) and `event`. An event has `type`, `actor` (who acts), `id` (telling it
again does not write it twice), sometimes `request` (the request that it belongs to), `label`
(its level) and fields of its own. It never holds a question, an answer, a passage, a password
or what a stranger typed.

What comes from Keycloak is complete relative to Keycloak’s own table of events: each row is
there, once, but for steps of a login that another row tells already and the tokens that our own
services fetch on the machine each minute. When somebody switches these events off, that is
itself in the log.
""",
}
HEAD: Mapping[Language, str] = {
    FR: "| type | quand | qui l’écrit | champs | OCSF |",
    EN: "| type | when | who writes it | fields | OCSF |",
}
LATER: Mapping[Language, str] = {FR: "(réservé : {})", EN: "(reserved: {})"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One type."""

    kind: str  # in full
    by: tuple[str, ...]  # programs, as the recorder knows them
    when: Mapping[Language, str]
    fields: tuple[str, ...]  # its own; a name with * stands for several
    later: str  # what will bring its writer, where nothing writes it yet


def version() -> int:
    """Return the version of the list."""
    return int(_read()["version"])


def entries() -> dict[str, Entry]:
    """Return every type of the list, by its name in full."""
    hot = {type_of(struct): struct for struct in HOT}
    found: dict[str, Entry] = {}
    for name, one in _read().items():
        if name == "version":
            continue
        kind = f"{_PREFIX}{name}{_SUFFIX}"
        own = (
            [f for f in hot[kind].__struct_fields__ if f not in _COMMON] if kind in hot else []
        )
        fields = tuple(one.get("fields", own))
        when = {FR: str(one["fr"]), EN: str(one["en"])}
        found[kind] = Entry(kind, tuple(one["by"]), when, fields, str(one.get("later", "")))
    return found


def _read() -> dict[str, Any]:
    text = (files("appliance.audit") / "catalogue.toml").read_text("utf-8")
    return tomllib.loads(text)


def page(language: Language) -> str:
    """Return the list for people, as Markdown."""
    intro = INTRO[language].format(
        version=version(), mapping=ocsf.MAPPING_VERSION, schema=ocsf.SCHEMA_VERSION
    )
    rows = [_row(one, language) for one in entries().values()]
    return "\n".join(
        [f"# {TITLE[language]}", "", intro, HEAD[language], "|---" * 5 + "|", *rows, ""]
    )


def _row(one: Entry, language: Language) -> str:
    fields = " ".join(f"`{name}`" for name in sorted(one.fields)) or "–"
    by = ", ".join(one.by) or LATER[language].format(one.later)
    mapped = ocsf.MAPPING[one.kind]
    return f"| `{one.kind}` | {one.when[language]} | {by} | {fields} | {mapped.class_uid} |"


def is_documented(kind: str, field: str) -> bool:
    """Tell whether the list names a field of a fact, by itself or by a name with `*`."""
    names = entries()[kind].fields
    assert kind in FACTS, "the fields of a request are its struct’s"
    return any(field == name or ("*" in name and _matches(name, field)) for name in names)


def _matches(pattern: str, field: str) -> bool:
    head, _, tail = pattern.partition("*")
    return field.startswith(head) and field.endswith(tail)

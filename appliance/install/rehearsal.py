"""A rehearsal before travel: the inventory as a container plays it, and what came out. Pure.

The answers of the site are kept but for what a container cannot have: its room and memory are
those of the machine that rehearses, and its papers say that they are worth nothing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network

import msgspec

from appliance.errors import ApplianceError
from appliance.install.answers import Answers
from appliance.install.container import Card
from appliance.install.phases import PHASES
from appliance.install.report import Entry, Facts
from appliance.install.screen import Language, duration, spoken

SCHEMA = "casemate.rehearsal/v1"
MARKING = "RÉPÉTITION, SANS VALEUR"
OF_THIS_MACHINE = ("room", "memory", "memoire", "disque")  # checks of what a container lends
WHY = "Répétition : la place est celle de la machine qui répète"
DECLARED = "/srv/site.toml"
NOT_SHOWN = (
    ("les disques, les cartes, l’alimentation et l’horloge de la vraie machine",
     "the disks, cards, power supply and clock of the real machine"),
    ("les autres machines du site : aucune ne répond ici",
     "the other machines of the site: none answers here"),
    ("la copie depuis les vrais supports, et les durées de la vraie machine",
     "the copy from the real media, and the times of the real machine"),
    ("la connexion d’une personne, un document déposé, une réponse",
     "a person signing in, a document, an answer"),
)  # fmt: skip
_GOOD = (
    "Répétition réussie : ce lot et cet inventaire peuvent partir.",
    "Rehearsed: this bundle and this inventory may travel.",
)
_BAD = (
    "Répétition en échec : ne partez pas avec ce lot et cet inventaire.",
    "The rehearsal failed: do not travel with this bundle and inventory.",
)
_PHASES = {phase.number: phase for phase in PHASES}


class UnplayableError(ApplianceError):
    """An inventory that no container can play."""

    code = "CM-INS-72"


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a rehearsal found: the content of `rehearsal.json`."""

    schema: str = SCHEMA
    site_name: str
    version: str
    release_seq: int
    manifest: str  # SHA-256, hex
    seconds: int  # of the installation, by its own report
    laps: tuple[tuple[int, str, int], ...]  # number, name, seconds
    remarks: tuple[str, ...]  # checks that are not as expected
    attempts: int  # to leave, in all moments
    caught: bool  # the planted attempt, in each
    changed_again: tuple[str, ...]  # tasks of a second installation that changed something

    @property
    def good(self) -> bool:
        """Tell whether one may travel."""
        return self.attempts == 0 and self.caught and not self.changed_again

    def text(self) -> bytes:
        """Return its canonical bytes, one final newline."""
        return msgspec.json.encode(self, order="sorted") + b"\n"


def played(answers: Answers, *, declared: bool) -> dict[str, object]:
    """Return the answers that the container is given.

    Args:
        answers: Of the site.
        declared: Whether the declared site is at `DECLARED` in the container.

    Raises:
        UnplayableError: The profile needs cards that no container has.
    """
    if answers.profile == "gpu":
        raise UnplayableError(
            "Un conteneur n’a pas de carte graphique : le profil gpu ne se répète que sur une "
            "machine qui en a une. / A container has no graphics card: the gpu profile is "
            "rehearsed on a machine that has one."
        )
    given = answers.model_dump(mode="json", exclude_defaults=True)
    own = {wish.check for wish in answers.overrides}
    added = [{"check": c, "reason": WHY} for c in OF_THIS_MACHINE if c not in own]
    given["overrides"] = [*given.get("overrides", []), *added]
    given["marking"] = MARKING
    given.pop("site_toml", None)
    return {**given, "site_toml": DECLARED} if declared else given


def toml(values: Mapping[str, object]) -> str:
    """Return values as TOML: strings, integers, lists and tables within tables."""
    return "".join(f"{key} = {_inline(value)}\n" for key, value in values.items())


def _inline(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    assert isinstance(value, str | int), "answers hold nothing else"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def cards(answers: Answers) -> tuple[Card, ...]:
    """Return the cards that the inventory names, with the addresses of this machine."""
    found: dict[str, list[str]] = {}
    of_zone = {"users": answers.users_address, "admin": answers.admin_address}
    for name, zone in answers.zones.items():
        if zone.interface == "lo":
            continue
        addresses = found.setdefault(zone.interface, [])
        own = of_zone.get(name, "")
        if own and not own.startswith("127."):
            addresses.append(_with_prefix(own, zone.sources))
    return tuple(Card(name, tuple(addresses)) for name, addresses in found.items())


def _with_prefix(address: str, sources: tuple[str, ...]) -> str:
    """Return an address with the prefix of the network it is in; 24 bits when it is in none."""
    if "/" in address:
        return address
    for source in sources:
        network = ip_network(source, strict=False)
        if ip_address(address) in network and network.prefixlen < network.max_prefixlen:
            return f"{address}/{network.prefixlen}"
    return f"{address}/24"


def changed_last(journal: Iterable[Entry]) -> tuple[str, ...]:
    """Return the tasks, with their roles, that changed something in the last installation."""
    found: list[str] = []
    for entry in journal:
        if entry["event"] == "install.begin":
            found = []
        elif entry["event"] == "task" and entry["outcome"] == "changed":
            found.append(f"{entry['role']} : {entry['task']}")
    return tuple(found)


def outcome(facts: Facts, changed_again: tuple[str, ...]) -> Outcome:
    """Return what was found, from the report that the container made."""
    return Outcome(
        site_name=facts.site_name, version=facts.release.version,
        release_seq=facts.release.release_seq, manifest=facts.release.manifest,
        seconds=sum(lap.seconds for lap in facts.laps),
        laps=tuple((lap.number, lap.name, lap.seconds) for lap in facts.laps),
        remarks=tuple(f"{one.title} : {one.message}" for one in facts.checks
                      if one.level != "pass"),
        attempts=sum(one.attempts for one in facts.egress),
        caught=bool(facts.egress) and all(one.positive_control for one in facts.egress),
        changed_again=changed_again,
    )  # fmt: skip


def words(found: Outcome, language: Language) -> Iterator[str]:
    """Yield the lines that the engineer reads at the end."""

    def say(french: str, english: str) -> str:
        return spoken(french, english, language)

    for number, _, seconds in found.laps:
        phase = _PHASES[number]
        name, about = say(phase.french, phase.english), duration(phase.expected)
        expected = say("attendu", "expected")
        yield f"[{number:2d}] {name} : {duration(seconds)} ({expected} {about})"
    total, changed = duration(found.seconds), len(found.changed_again)
    yield f"Installation : {total}."
    yield say(
        f"Second passage : {changed} modification(s).", f"Second run: {changed} change(s)."
    )
    for task in found.changed_again:
        yield f"  – {task}"
    caught = say("attrapée", "caught") if found.caught else say("NON attrapée", "NOT caught")
    yield say(
        f"Tentatives de sortie : {found.attempts} ; tentative plantée {caught}.",
        f"Attempts to leave: {found.attempts}; planted attempt {caught}.",
    )
    for remark in found.remarks:
        yield say(f"Remarque : {remark}", f"Remark: {remark}")
    yield say("Ce que la répétition ne montre pas :", "What the rehearsal does not show:")
    for french, english in NOT_SHOWN:
        yield f"  – {say(french, english)}"
    yield say(*(_GOOD if found.good else _BAD))

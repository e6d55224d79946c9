"""Checks of the machine before anything is read from the medium or changed. Pure.

`fail` may be taken upon oneself by a named operator with a reason, which the report shows;
`strict` may not. A later clock than the bundle's never stops an installation: nothing in it
expires. An earlier one does: signatures are « not yet valid » to the tools of Debian.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from appliance.bundle.rehearsed import ENGLISH, FRENCH
from appliance.errors import ApplianceError
from appliance.install.answers import Override as Wish

GIB = 1 << 30
MEMORY_NEEDED = {"cpu": 5 * GIB, "gpu": 30 * GIB}
FREE_BESIDE = 4 * GIB  # database, log and documents of the first days
FREE_FACTOR = 22  # tenths of the bundle's size: store, environments, packages
YEAR = 365 * 86_400
REHEARSAL = "rehearsal"  # id of the check
OLD = 2 * YEAR  # seconds after which the age of a bundle is remarked


class Level(StrEnum):
    """What a check found."""

    PASS, WARN, FAIL, STRICT = "pass", "warn", "fail", "strict"


class Check(msgspec.Struct, frozen=True):
    """A check that was made."""

    id: str
    level: Level
    title: str  # what was looked at
    message: str  # what was found
    remedy: str = ""


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A failed check that a named person took upon themselves."""

    check: str
    operator: str
    reason: str


class NotReadyError(ApplianceError):
    """A check failed and nobody took it upon themselves."""

    code = "CM-INS-65"


class OverrideError(ApplianceError):
    """An override of a check that cannot be overridden, or does not exist."""

    code = "CM-INS-66"


@dataclass(frozen=True, slots=True)
class Facts:
    """What was observed of the machine, and what the bundle says of itself."""

    uid: int
    os: tuple[str, str]  # id and version of os-release
    arch: str
    systemd: bool  # it is the first process
    clock: int  # seconds since 1970
    created: int  # of the bundle; 0: not known yet
    free: int  # bytes, where the store is
    bundle: int  # bytes of all files of the release; 0: not known yet
    memory: int  # bytes, in all
    profile: str
    rehearsed: bool  # the profile was, on what it needs


def checks(facts: Facts) -> Iterator[Check]:
    """Yield each check, in the order in which it is shown."""
    yield _root(facts)
    yield _target(facts)
    yield _systemd(facts)
    yield _clock(facts)
    yield _room(facts)
    yield _memory(facts)
    if facts.profile == "gpu":
        yield _rehearsal(facts)


def _root(facts: Facts) -> Check:
    if facts.uid == 0:
        return Check("root", Level.PASS, "Droits", "superutilisateur")
    return Check(
        "root", Level.STRICT, "Droits", "la commande n’est pas lancée en superutilisateur",
        "Relancez-la par « sudo ».",
    )  # fmt: skip


def _target(facts: Facts) -> Check:
    found = f"{facts.os[0]} {facts.os[1]}, {facts.arch}"
    if facts.os == ("debian", "13") and facts.arch == "x86_64":
        return Check("target", Level.PASS, "Système", found)
    return Check(
        "target", Level.STRICT, "Système", f"{found} : seul Debian 13 x86-64 est servi",
        "Installez Debian 13 (trixie) pour x86-64.",
    )  # fmt: skip


def _systemd(facts: Facts) -> Check:
    if facts.systemd:
        return Check("systemd", Level.PASS, "Démarrage", "systemd")
    return Check(
        "systemd", Level.STRICT, "Démarrage", "systemd n’est pas le premier processus",
        "Démarrez la machine elle-même, pas un conteneur d’application.",
    )  # fmt: skip


def _clock(facts: Facts) -> Check:
    clock, created = _date(facts.clock), _date(facts.created)
    if facts.clock < facts.created:
        return Check(
            "clock", Level.STRICT, "Horloge",
            f"l’horloge dit {clock}, mais le lot a été fabriqué le {created} : elle retarde",
            "Mettez la machine à l’heure (timedatectl set-time), puis relancez.",
        )  # fmt: skip
    if facts.created and facts.clock - facts.created > OLD:
        years = (facts.clock - facts.created) // YEAR
        return Check(
            "clock", Level.WARN, "Horloge",
            f"l’horloge dit {clock}, {years} ans après la fabrication du lot ({created})",
            "Vérifiez l’horloge ; si elle est juste, demandez un lot plus récent.",
        )  # fmt: skip
    return Check("clock", Level.PASS, "Horloge", clock)


def _room(facts: Facts) -> Check:
    needed = facts.bundle * FREE_FACTOR // 10 + FREE_BESIDE
    found = f"{_gib(facts.free)} libres, il en faut {_gib(needed)}"
    if facts.free >= needed:
        return Check("room", Level.PASS, "Place sur le disque", found)
    return Check(
        "room", Level.FAIL, "Place sur le disque", found,
        "Libérez de la place ou agrandissez le volume de /var/lib/casemate.",
    )  # fmt: skip


def _memory(facts: Facts) -> Check:
    needed = MEMORY_NEEDED[facts.profile]
    found = f"{_gib(facts.memory)}, il en faut {_gib(needed)}"
    if facts.memory >= needed:
        return Check("memory", Level.PASS, "Mémoire", found)
    return Check("memory", Level.FAIL, "Mémoire", found, "Ajoutez de la mémoire à la machine.")


def _rehearsal(facts: Facts) -> Check:
    if facts.rehearsed:
        return Check(REHEARSAL, Level.PASS, "Répétition", "profil gpu répété sur un GPU")
    return Check(
        REHEARSAL, Level.WARN, "Répétition", f"profil gpu {FRENCH} / {ENGLISH}",
        "Prévoyez du temps : cette livraison n’a jamais été essayée sur de vraies cartes.",
    )  # fmt: skip


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d/%m/%Y %H:%M UTC")


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} Gio".replace(".", ",")


def taken(
    found: Iterable[Check], wishes: Sequence[Wish], operator: str
) -> tuple[Override, ...]:
    """Return the overrides that were needed.

    Raises:
        NotReadyError: A check failed and is not overridden: one line each, with its remedy.
        OverrideError: A strict check cannot be overridden.
    """
    reasons = {wish.check: wish.reason for wish in wishes}
    used, left = list[Override](), list[Check]()
    for check in found:
        if check.level == Level.STRICT and check.id in reasons:
            raise OverrideError(
                f"Le contrôle « {check.id} » est strict : personne ne peut passer outre. / "
                f"The check “{check.id}” is strict: nobody can override it."
            )
        if check.level == Level.FAIL and check.id in reasons:
            used.append(Override(check.id, operator, reasons[check.id]))
        elif check.level in {Level.FAIL, Level.STRICT}:
            left.append(check)
    if left:
        raise NotReadyError("\n".join(map(refusal, left)))
    return tuple(used)


def refusal(check: Check) -> str:
    """Return the line of a check that failed."""
    return f"[{check.id}] {check.title} : {check.message}. {check.remedy}".rstrip()

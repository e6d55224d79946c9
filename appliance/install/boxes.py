"""Boxes of the checklist: what to have before travelling and do at the rack, in order. Pure.

Each is said in French and in English. The fingerprint of the root of trust is not here: it
comes by another way than whatever travels with the media, and is written in by hand.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from appliance.install.answers import Answers, ZoneName
from appliance.install.phases import PHASES
from appliance.install.preflight import FREE_BESIDE, FREE_FACTOR, GIB, MEMORY_NEEDED
from appliance.install.printed import dated
from appliance.install.screen import duration

Said = tuple[str, str]  # French, English
ZONES: Mapping[ZoneName, Said] = {
    "users": ("usagers", "users"),
    "admin": ("administrateurs", "administrators"),
    "logs": ("journaux", "logs"),
    "gpu": ("calcul", "computing"),
    "backup": ("sauvegarde", "backup"),
}


@dataclass(frozen=True, slots=True)
class Brought:
    """What the media say of themselves; nothing of it is proved yet."""

    version: str
    release_seq: int
    manifest: str  # SHA-256, hex
    created: int  # seconds since 1970
    size: int  # bytes of all chunks
    media: int  # how many the set has


@dataclass(frozen=True, slots=True)
class Item:
    """A box to tick."""

    text: Said
    blank: bool = False  # something is written in by hand
    command: str = ""  # to type


@dataclass(frozen=True, slots=True)
class Section:
    """Boxes of one moment, then a table."""

    title: Said
    boxes: Sequence[Item]
    intro: Said = ("", "")
    header: Sequence[Said] = ()
    widths: Sequence[int] = ()  # shares of the line; 0: as wide as its words
    rows: Sequence[Sequence[Said | str]] = field(default=())


def _item(french: str, english: str, *, blank: bool = False, command: str = "") -> Item:
    return Item((french, english), blank, command)


def summary(answers: Answers, brought: Brought | None) -> Iterator[tuple[Said, Said | str]]:
    """Yield what stands at the head of the sheet: names and values."""
    yield ("Ingénieur", "Engineer"), answers.operator
    yield ("Profil", "Profile"), answers.profile
    yield ("Nom public", "Public name"), answers.domain
    yield ("Nom pour les administrateurs", "Name for administrators"), answers.administrators
    if brought is None:
        yield (
            ("Lot", "Bundle"),
            ("supports non lus pour cette fiche", "media not read for this sheet"),
        )
        return
    made = datetime.fromtimestamp(brought.created, UTC)
    french, english = dated(made.isoformat()), f"{made:%Y-%m-%d %H:%M} (UTC)"
    name, number = f"Casemate {brought.version}", brought.release_seq
    yield (
        ("Lot", "Bundle"),
        (
            f"{name}, livraison n° {number}, fabriqué le {french}",
            f"{name}, release no. {number}, made {english}",
        ),
    )
    yield (
        ("Taille", "Size"),
        (
            f"{_gib(brought.size)} Gio sur {brought.media} support(s)".replace(".", ","),
            f"{_gib(brought.size)} GiB on {brought.media} medium/media",
        ),
    )


def sections(answers: Answers, brought: Brought | None) -> Iterator[Section]:
    """Yield each moment, in order.

    Args:
        answers: Checked.
        brought: What the media say, when they are at hand.
    """
    yield Section(
        ("Avant de partir : à avoir en main", "Before leaving: to have in hand"),
        [*_papers(answers, brought)],
    )
    yield _media(answers, brought)
    yield Section(
        ("À obtenir du site avant le jour dit", "To obtain from the site beforehand"),
        [*_asked(answers)],
    )
    yield _networks(answers)
    yield Section(
        ("Devant la baie, avant de commencer", "At the rack, before starting"),
        [*_machine(answers, brought)],
    )
    yield _running()
    yield Section(("Si elle s’arrête", "If it stops"), _STOPPED)
    yield Section(("Avant de quitter le site", "Before leaving the site"), [*_after(answers)])


def _papers(answers: Answers, brought: Brought | None) -> Iterator[Item]:
    yield _item("cette fiche, imprimée en deux exemplaires", "this sheet, printed twice")
    yield _item(
        "l’empreinte de la racine de confiance, sur une fiche remise par une "
        "autre voie que les "
        "supports ; ses quatre premiers et quatre derniers signes",
        "the fingerprint of the root of trust, on a sheet that came another "
        "way than the media; "
        "its first and last four signs",
        blank=True,
    )
    if brought is not None:
        first, last = brought.manifest[:8], brought.manifest[-8:]
        yield _item(
            "le SHA-256 du manifeste, relevé à la fabrication du lot : celui des "
            "supports commence "
            f"par {first} et finit par {last}",
            "the SHA-256 of the manifest, noted when the bundle was built: that of the media "
            f"begins with {first} and ends with {last}",
        )
    declared = answers.site_toml
    yield _item(
        f"le site déclaré, à l’endroit dit par les réponses : {declared}"
        if declared
        else "le site déclaré : aucun n’est donné, celui de la livraison n’est qu’un exemple",
        f"the declared site, where the answers say: {declared}"
        if declared
        else "the declared site: none is given, that of the release is only a sample",
    )
    yield _item(
        "la répétition de ce lot et de ces réponses (casemate rehearse) a réussi, le",
        "the rehearsal of this bundle and these answers (casemate rehearse) succeeded, on",
        blank=True,
    )
    for one in answers.overrides:
        yield _item(
            f"l’accord écrit pour passer outre le contrôle « {one.check} » : {one.reason}",
            f"the written agreement to override the check “{one.check}”: {one.reason}",
        )


def _media(answers: Answers, brought: Brought | None) -> Section:
    count = max(len(answers.media), brought.media if brought else 0, 1)
    rows: list[Sequence[Said | str]] = []
    for number in range(count):
        known = answers.media[number] if number < len(answers.media) else None
        cells = [known.serial, known.handed_by, known.scanned] if known else ["", "", ""]
        rows.append([f"{number + 1}/{count}", *cells, "☐", "☐"])
    return Section(
        ("Supports", "Media"),
        [
            _item(
                "une copie de secours de chaque support, vérifiée par VERIFY.sh",
                "a spare copy of each medium, verified by VERIFY.sh",
            )
        ],
        header=(
            ("Support", "Medium"),
            ("N° de série", "Serial no."),
            ("Remis par", "Handed over by"),
            ("Station blanche", "Scanning station"),
            ("Emporté", "Taken"),
            ("Rendu", "Returned"),
        ),
        widths=(0, 2, 2, 3, 0, 0),
        rows=rows,
    )


def _asked(answers: Answers) -> Iterator[Item]:
    yield _item(
        "l’accès au local et à la baie, l’écran et le clavier",
        "access to the room and rack, screen and keyboard",
    )
    yield _item(
        "le bordereau de la station blanche pour chaque support",
        "the slip of the scanning station for each medium",
    )
    yield _item(
        "Debian 13 (trixie) x86-64 installé nu, disques chiffrés (LUKS2), avec python3, "
        "openssh-client et coreutils",
        "Debian 13 (trixie) x86-64 installed bare, disks encrypted (LUKS2), with python3, "
        "openssh-client and coreutils",
    )
    yield _item(
        "qui peut prendre en charge un contrôle en échec (nom, téléphone)",
        "who may take over a failed check (name, telephone)",
        blank=True,
    )
    yield _item(
        "qui répond au téléphone pendant l’installation (nom, numéro)",
        "who answers the telephone meanwhile (name, number)",
        blank=True,
    )
    if answers.pki == "site":
        yield _item(
            "qui signe les certificats pendant l’installation : l’autorité est celle du "
            "site (nom)",
            "who signs the certificates meanwhile: the authority is the site’s (name)",
            blank=True,
        )
    names = (
        f"{answers.domain} ({answers.users_address}), "
        f"{answers.administrators} ({answers.admin_address})"
    )
    yield _item(
        f"les postes connaissent les noms : {names}",
        f"the workstations know the names: {names}",
    )


def _networks(answers: Answers) -> Section:
    closed: Said = ("fermée", "closed")
    rows: list[Sequence[Said | str]] = []
    for name, words in ZONES.items():
        zone = answers.zones.get(name)
        interface = zone.interface if zone else "–"
        rows.append([words, interface, ", ".join(zone.sources) if zone else closed, "☐"])
    rows += [
        [("machine connue", "known machine"), ", ".join(one.names), one.address, "☐"]
        for one in answers.hosts
    ]
    rows += [[("horloge", "clock"), one, "", "☐"] for one in answers.time_servers]
    return Section(
        ("Réseaux et machines déclarés", "Declared networks and machines"),
        [],
        header=(
            ("Zone", "Zone"),
            ("Interface ou nom", "Interface or name"),
            ("Réseaux ou adresse", "Networks or address"),
            ("Vu", "Seen"),
        ),
        widths=(2, 3, 4, 0),
        rows=rows,
    )


def _machine(answers: Answers, brought: Brought | None) -> Iterator[Item]:
    yield _item(
        "aucun câble vers un réseau extérieur ; aucun réseau n’est nécessaire",
        "no cable to an outside network; no network is needed",
    )
    since = datetime.fromtimestamp(brought.created, UTC) if brought else None
    yield _item(
        "l’horloge est à l’heure (elle ne peut être avant la fabrication du lot"
        + (f", {since:%d/%m/%Y})" if since else ")"),
        "the clock is right (it cannot be before the bundle was made"
        + (f", {since:%Y-%m-%d})" if since else ")"),
    )
    memory = _gib(MEMORY_NEEDED[answers.profile])
    yield _item(
        f"mémoire : au moins {memory.replace('.', ',')} Gio", f"memory: at least {memory} GiB"
    )
    room = _gib((brought.size if brought else 0) * FREE_FACTOR // 10 + FREE_BESIDE)
    beside = (
        ("", "") if brought else (" en plus de deux fois le lot", " beside twice the bundle")
    )
    yield _item(
        f"place libre sous /var/lib/casemate : {room.replace('.', ',')} Gio{beside[0]}",
        f"free room below /var/lib/casemate: {room} GiB{beside[1]}",
    )
    yield _item(
        "alimentation sûre : on n’éteint pas pendant les phases marquées « non »",
        "safe power supply: not switched off during phases marked “no”",
    )


def _running() -> Section:
    rows: list[Sequence[Said | str]] = [
        [
            str(phase.number),
            (phase.french, phase.english),
            duration(phase.expected),
            ("oui", "yes") if phase.power_off else ("non", "no"),
            "",
            "☐",
        ]
        for phase in PHASES
    ]
    return Section(
        ("Installation", "Installation"),
        [
            _item(
                "vérifier le support par les seuls outils de Debian, avec l’empreinte "
                "de la fiche",
                "verify the medium by Debian’s own tools, with the fingerprint of the sheet",
                command='sh VERIFY.sh -r "…"',
            ),
            _item(
                "installer",
                "install",
                command='sudo sh install.sh --answers … --root-fingerprint "…"',
            ),
        ],
        header=(
            ("N°", "No."),
            ("Phase", "Phase"),
            ("Attendu", "Expected"),
            ("Éteindre ?", "Switch off?"),
            ("Fini à", "Done at"),
            ("Fait", "Done"),
        ),
        widths=(0, 5, 0, 0, 2, 0),
        rows=rows,
    )


_STOPPED = (
    _item("relever le code affiché", "note the code that is shown", blank=True),
    _item(
        "dicter ce code et la phrase affichée, rien d’autre : ils ne "
        "contiennent aucune valeur du "
        "site",
        "dictate that code and the sentence shown, nothing else: they hold no value of the "
        "site",
    ),
    _item(
        "relancer la même commande : ce qui est fait n’est pas refait",
        "run the same command again: what is done is not done again",
    ),
)


def _after(answers: Answers) -> Iterator[Item]:
    yield _item(
        "preuve d’absence de sortie : zéro tentative, tentative plantée attrapée",
        "proof that nothing leaves: no attempt, the planted one caught",
        command="sudo casemate egress-proof",
    )
    yield _item(
        f"connexion d’essai à {answers.domain}, une question posée, une réponse citée",
        f"trial sign-in at {answers.domain}, one question asked, one cited answer",
    )
    yield _item(
        "premier compte d’administrateur remis en main propre, second facteur inscrit",
        "first administrator’s account handed over in person, second factor enrolled",
    )
    yield _item(
        "procès-verbal (report.pdf) relu, imprimé, signé par les deux parties",
        "report (report.pdf) read again, printed, signed by both parties",
    )
    yield _item(
        "clé publique du site (site.pub) et clé du journal emportées hors de la machine",
        "public key of the site (site.pub) and key of the log taken off the machine",
    )
    yield _item("empreinte de la clé du site", "fingerprint of the site’s key", blank=True)
    yield _item(
        "dérogations du procès-verbal lues par qui en répond",
        "waivers of the report read by who answers for them",
    )
    yield _item(
        "supports rendus ou détruits, selon la règle du site",
        "media returned or destroyed, as the site rules",
    )


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"

"""What only the engineer knows: answers at the rack, or a strict TOML file. Pure.

Five things are asked. The rest has a default that closes rather than opens: a zone without a
network lets nobody in. No answer is a secret; secrets are made on the machine.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import ApplianceError

HOST = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+"
ADDRESS = r"[0-9]{1,3}(\.[0-9]{1,3}){3}"
SSH_KEY = (  # without options: Ed25519 or ECDSA, also those of a security key
    r"(ssh-ed25519|sk-ssh-ed25519@openssh\.com|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/=]+"
    r"( [\w.@+-]+)?"
)
Ask = Callable[[str, str, str], str]  # a question in French, in English, its default


class AnswersError(ApplianceError):
    """An answer is missing, unknown, or not of its form."""

    code = "CM-INS-64"


ZoneName = Literal["users", "admin", "logs", "gpu", "backup"]


def _printable(text: str) -> str:
    text = text.replace("'", "’")  # as it is typed; a straight one ends strings elsewhere
    if not text.isprintable() or text != text.strip() or set(text) & set('{}|`"\\<>$'):
        raise ValueError("caractères non permis / characters not allowed")
    return text


def _host(text: str) -> str:
    if not re.fullmatch(HOST, text):
        raise ValueError("un nom comme casemate.site.internal / such as casemate.site.internal")
    return text


def _network(text: str) -> str:
    if not re.fullmatch(ADDRESS + r"(/[0-9]{1,2})?", text):
        raise ValueError("un réseau comme 192.0.2.0/24 / such as 192.0.2.0/24")
    return text


def _own_login(text: str) -> str:
    if text == "root" or text.startswith("casemate"):
        raise ValueError("un nom de personne / a person's name")
    return text


Words = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_printable)]
HostName = Annotated[str, Field(max_length=253), AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
Interface = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,14}\z")]
TimeZone = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9+_-]*(/[A-Z][A-Za-z0-9+_-]*){0,2}\z")]


Mailbox = Annotated[str, Field(max_length=254, pattern=rf"^[A-Za-z0-9._+-]{{1,64}}@{HOST}\z")]
Login = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}\z"), AfterValidator(_own_login)]
PublicKey = Annotated[str, Field(pattern=rf"^{SSH_KEY}\z")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Zone(_Strict):
    """A network of the site that may come in."""

    interface: Interface
    sources: tuple[Network, ...] = ()


class Machine(_Strict):
    """Another machine of the site that is called by name: there is no resolver."""

    address: Network
    names: tuple[HostName, ...]


class Medium(_Strict):
    """A medium as it was handed over, for the register of the report."""

    serial: Words  # of the stick or disk
    handed_by: Words
    scanned: Words = "non déclaré"  # where and how: the « station blanche » of the site


class Served(_Strict):
    """A model of the bundle that this machine serves; the declared site calls it by `name`."""

    instance: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,15}\z")]
    kind: Literal["chat", "embed"]
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\z")]  # folder under models/
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\z")]
    context: Annotated[int, Field(ge=64, le=1_048_576)]  # tokens
    memory: Annotated[int, Field(ge=1, le=1024)] = 1  # GiB of the key-value cache, cpu only
    cards: tuple[Annotated[int, Field(ge=0, le=15)], ...] | None = None  # by bus, gpu only
    share: Annotated[int, Field(ge=1, le=95)] | None = None  # percent of their memory


class Person(_Strict):
    """Someone who logs in at the rack. Password and second factor are typed there."""

    login: Login
    name: Words
    rights: Literal["none", "operate", "administer"] = "none"
    ssh_keys: tuple[PublicKey, ...] = ()  # none: at the rack alone


class Alerts(_Strict):
    """Where alerts go by mail; without it they are read on the machine alone."""

    relay: HostName  # of the site, one of `hosts`; it must offer STARTTLS
    to: Mailbox


class Override(_Strict):
    """A failed check that the operator takes upon themselves."""

    check: Annotated[str, Field(pattern=r"^[a-z0-9_]{2,40}\z")]
    reason: Words


class Answers(_Strict):
    """Keys of an answers file."""

    site_name: Words
    """Name of the site in words, as on the report and in the origin of its log."""

    domain: HostName
    """Public name: what users type."""

    time_zone: TimeZone
    """In which budgets are counted, such as Europe/Paris."""

    profile: Literal["cpu", "gpu"]
    """Which environment of vLLM is installed."""

    operator: Words
    """Who installs: a person's name, on the report."""

    marking: Words | Literal[""] = ""
    """Protective marking of the papers: on each page of the report and of the checklist."""

    administrator: Login | Literal[""] = ""
    """First administrator of accounts, made when the declared site names none."""

    admin_domain: HostName | Literal[""] = ""
    """Name for administrators; `admin.` before the public name when it is not given."""

    users_address: Network = "127.0.0.1"
    """Address of this machine on the users' network."""

    admin_address: Network = "127.0.0.1"
    """Address of this machine on the administrators' network."""

    zones: Mapping[ZoneName, Zone] = {}
    """Who may come in, from where. A zone that is not named is closed."""

    time_servers: tuple[HostName | Network, ...] = ()
    """Clocks of the site."""

    hosts: tuple[Machine, ...] = ()
    """Other machines of the site."""

    collector: HostName | Literal[""] = ""
    """Name of the site's collector of logs, one of `hosts`; nothing is sent without one."""

    alerts: Alerts | None = None
    """Relay and recipient of alerts; nothing is sent without one."""

    pki: Literal["built-in", "site"] = "built-in"
    """Whose authority signs the certificates."""

    gateways: Annotated[int, Field(ge=1, le=16)] = 2
    """Workers of the gateway."""

    site_toml: Annotated[str, Field(pattern=r"^(/[\w.+-]+)+\z")] | None = None
    """The declared site; without one, that of the release is taken."""

    models: tuple[Served, ...] = ()
    """Models that vLLM serves; the embedding model of the release when none is named."""

    people: tuple[Person, ...] = ()
    """Who logs in at the rack, each with a second factor."""

    media: tuple[Medium, ...] = ()
    """The media as they were handed over."""

    overrides: tuple[Override, ...] = ()
    """Failed checks taken upon oneself; a strict one cannot be."""

    @property
    def administrators(self) -> str:
        """Return the name of the administrators' front."""
        return self.admin_domain or f"admin.{self.domain}"


QUESTIONS: Mapping[str, tuple[str, str, str]] = {  # field: French, English, default
    "site_name": ("Nom du site, en toutes lettres", "Name of the site, in words", ""),
    "domain": ("Nom public (ce que tapent les usagers)", "Public name (what users type)", ""),
    "time_zone": ("Fuseau horaire", "Time zone", "Europe/Paris"),
    "profile": ("Profil : cpu ou gpu", "Profile: cpu or gpu", "cpu"),
    "operator": ("Votre nom, pour le procès-verbal", "Your name, for the report", ""),
}


def read_answers(text: str) -> dict[str, object]:
    """Read an answers file; what it leaves out may still be asked.

    Raises:
        AnswersError: Not TOML, or a key that does not exist.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise AnswersError(f"Réponses illisibles. / Answers cannot be read. {exc}") from exc
    if unknown := sorted(found.keys() - Answers.model_fields.keys()):
        raise AnswersError(f"Clés inconnues / unknown keys: {', '.join(unknown)}")
    return found


def missing(given: Mapping[str, object]) -> list[str]:
    """Return the questions that are still open."""
    return [name for name in QUESTIONS if name not in given]


def check(given: Mapping[str, object]) -> Answers:
    """Check a whole set of answers.

    Raises:
        AnswersError: One line per answer that cannot be taken.
    """
    try:
        return Answers.model_validate(dict(given))
    except ValidationError as exc:
        lines = [
            f"{'.'.join(map(str, error['loc']))} : {error['msg']}" for error in exc.errors()
        ]
        raise AnswersError("\n".join(lines)) from exc

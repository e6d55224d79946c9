"""What every page shows around its content: marking, menu, proof, person."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.console.language import mark
from appliance.console.menu import Group, roles_of
from appliance.identity.principal import Principal

NO_CONTENT = mark("aucun contenu affiché")
HIGHEST = mark("le plus élevé des contenus affichés")
METADATA = mark("métadonnées, sans contenu")
ANCHOR_MAX = timedelta(hours=24)  # of a witness to whom files are carried once a day


@dataclass(frozen=True, slots=True)
class Proof:
    """State of the log, in the foot of the menu."""

    size: int  # events
    signed: int  # of them, under the last checkpoint
    at: datetime  # of the last signed checkpoint
    root: str  # base64
    anchored: datetime | None = None  # when somebody outside last confirmed it; None: nobody

    def late(self, now: datetime) -> bool:
        """Say whether the last anchor is older than the longest that a site may take."""
        return self.anchored is not None and now - self.anchored > ANCHOR_MAX


@dataclass(frozen=True, slots=True)
class State:
    """What is not as usual, said on every page where it matters."""

    vectors: str = "ready"  # warming | ready | absent
    engine: bool = True  # a model answers
    stopped: bool = False
    recorder: bool = True

    @property
    def usual(self) -> bool:
        """Say whether there is nothing to say."""
        return self.engine and self.recorder and not self.stopped and self.vectors != "warming"


@dataclass(frozen=True, slots=True)
class Who:
    """The person, as the page names them."""

    name: str
    initials: str
    roles: tuple[str, ...]  # msgids


@dataclass(frozen=True, slots=True)
class Shell:
    """Around the content of one page."""

    site: str
    labels: tuple[str, ...]
    rank: int  # highest label of what is displayed
    scope: str  # msgid: what the marking speaks of
    theme: str  # clair | sombre, or empty to follow the system
    csrf: str = ""
    who: Who | None = None
    menu: tuple[Group, ...] = ()
    current: str = ""  # href of the menu's entry
    proof: Proof | None = None
    proof_href: str = "/journal"
    until: int = 0  # seconds since 1970 when the session ends
    state: State = State()


def person(caller: Principal) -> Who:
    """Return how the page names this person."""
    parts = [part for part in caller.name.replace("-", ".").split(".") if part]
    initials = "".join(part[0] for part in parts[:2]) or caller.name[:2]
    return Who(caller.name, initials.upper(), roles_of(caller))


def highest(labels: list[int]) -> int:
    """Return the highest label, 0 when nothing is displayed."""
    return max(labels, default=0)

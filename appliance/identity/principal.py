"""Who is calling, and what they may do."""

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.errors import ApplianceError


class Scope(StrEnum):
    """A permission. One scope per verb that an auditor would want to grant on its own."""

    CHAT = "chat"
    SEARCH = "search"
    EMBED = "embed"
    DOCUMENTS_READ = "documents.read"
    DOCUMENTS_WRITE = "documents.write"
    KEYS_OWN = "keys.own"
    USAGE_OWN = "usage.own"
    RECORDS_OWN = "records.own"
    REVIEW = "review"
    HEALTH = "health"
    MODELS = "models"
    COLLECTIONS = "collections"
    BUDGETS = "budgets"
    STOP = "stop"
    START_APPROVE = "start.approve"
    RECORDS_ALL = "records.all"
    EXPORT = "export"
    VERIFY = "verify"
    CONTENT_APPROVE = "content.approve"
    POLICY = "policy"
    GATES = "gates"
    ERASURES = "erasures"
    ANCHORS = "anchors"
    COMPLIANCE = "compliance"
    GATES_DECIDE = "gates.decide"
    COMPLIANCE_READ = "compliance.read"
    ERASURE_APPROVE = "erasure.approve"
    REGISTERS = "registers"


class UnauthenticatedError(ApplianceError):
    """The request carries no valid credential."""

    code = "CM-IDE-01"


class ForbiddenError(ApplianceError):
    """The caller is known but may not do this."""

    code = "CM-DRT-01"


class TeamChoiceError(ApplianceError):
    """The caller belongs to several teams and names none, or one that is not theirs."""

    code = "CM-DRT-02"


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What an application key adds to, or takes from, its owner."""

    id: str  # uuid
    models: frozenset[str]  # empty: all that the owner may use
    collections: tuple[str, ...]  # slugs; empty: those of the owner
    max_label: int


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    subject: str  # `sub` of the token; of a key, its owner's
    name: str  # for people: user name
    roles: frozenset[str]
    scopes: frozenset[Scope]
    groups: tuple[str, ...]  # full paths, such as /equipes/rh
    clearance: int  # highest; 0 when absent
    session: str = ""  # `sid` of the token
    until: float = 0.0  # seconds since 1970: do not use this object afterwards
    key: KeyTerms | None = field(default=None)

    @property
    def teams(self) -> tuple[str, ...]:
        """Return the groups that are teams."""
        return tuple(group for group in self.groups if group.startswith("/equipes/"))

    def team(self, wanted: str = "") -> str:
        """Return the team that pays, or `""` for who belongs to none.

        Raises:
            TeamChoiceError: The caller has to name one of theirs.
        """
        teams = self.teams
        if wanted:
            if wanted not in teams:
                raise TeamChoiceError(f"choose a team: {', '.join(teams)}")
            return wanted
        if len(teams) > 1:
            raise TeamChoiceError(f"choose a team: {', '.join(teams)}")
        return teams[0] if teams else ""


def check_scope(caller: Principal, scope: Scope) -> None:
    """Let the caller pass if they hold `scope`.

    Raises:
        ForbiddenError: They do not.
    """
    if scope not in caller.scopes:
        raise ForbiddenError(f"scope {scope.value} is needed")

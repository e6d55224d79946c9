"""Who is calling, and what they may do."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from appliance.errors import ApplianceError

# INTERFACES 2: these sign in with a second factor, and no role both acts and audits.
SECOND_FACTOR_ROLES = frozenset({"auditeur", "rssi", "administrateur"})
SECOND_FACTORS = frozenset({"otp", "x509", "hwk"})  # values of `amr`, RFC 8176
NOT_WITH_AUDITOR = frozenset({"exploitant", "rssi", "administrateur"})
AUDITOR = "auditeur"
ELEVATED_SECONDS = 300  # a code given for a sensitive action is good for that long
ELEVATED_ACR = 2
LEEWAY = 10  # seconds that the clock of Keycloak's host may be ahead
SERVICE_PREFIX = "service-account-"


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


class SecondFactorError(ApplianceError):
    """A role that needs a second factor came without one, as after a grant in mid-session."""

    code = "CM-IDE-02"


class RevocationUnknownError(ApplianceError):
    """Who was revoked, or with which keys tokens are signed, cannot be known right now."""

    code = "CM-IDE-03"


class StepUpError(ApplianceError):
    """The action asks for a fresh one-time code."""

    code = "CM-IDE-04"


class RoleConflictError(ApplianceError):
    """Roles that one person may not hold together."""

    code = "CM-DRT-03"


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
    networks: tuple[str, ...] = ()  # CIDR; empty: from anywhere on the site


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
    acr: int = 1  # level of the last sign-in: 2 after a code was asked for
    signed_in: float = 0.0  # `auth_time`, seconds since 1970

    @property
    def account(self) -> str:
        """Return the name in budget keys (`user:…`): the subject, or a service's client id."""
        service = self.name.startswith(SERVICE_PREFIX)
        return self.name.removeprefix(SERVICE_PREFIX) if service else self.subject

    @property
    def reads_up_to(self) -> int:
        """Return the highest label that this caller may read, its key considered."""
        return min(self.clearance, self.key.max_label) if self.key else self.clearance

    @property
    def teams(self) -> tuple[str, ...]:
        """Return the groups that are teams."""
        return _teams(self.groups)

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


@lru_cache(maxsize=1_024)
def _teams(groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(group for group in groups if group.startswith("/equipes/"))


def check_scope(caller: Principal, scope: Scope) -> None:
    """Let the caller pass if they hold `scope`.

    Raises:
        ForbiddenError: They do not.
    """
    if scope not in caller.scopes:
        raise ForbiddenError(f"scope {scope.value} is needed")


def check_roles(roles: frozenset[str]) -> None:
    """Let these roles be held by one person.

    Raises:
        RoleConflictError: An auditor would audit their own acts.
    """
    if AUDITOR in roles and (conflict := roles & NOT_WITH_AUDITOR):
        raise RoleConflictError(
            f"auditeur cannot be combined with {', '.join(sorted(conflict))}"
        )


def check_second_factor(roles: frozenset[str], amr: frozenset[str]) -> None:
    """Let a session with these authentication methods act in these roles.

    Raises:
        SecondFactorError: One of the roles needs a second factor, and none was given.
    """
    if roles & SECOND_FACTOR_ROLES and not amr & SECOND_FACTORS:
        raise SecondFactorError("sign in again with a second factor")


def check_elevated(caller: Principal, now: float) -> None:
    """Let a sensitive action pass; its scope is checked too, since `acr` alone proves little.

    Raises:
        StepUpError: No code was given in the last `ELEVATED_SECONDS`.
    """
    age = now - caller.signed_in
    if caller.acr < ELEVATED_ACR or not -LEEWAY <= age <= ELEVATED_SECONDS:
        raise StepUpError("confirm with a one-time code")

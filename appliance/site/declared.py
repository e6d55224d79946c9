"""`site.toml`: the one declared file of a site, read only by `casemate site apply`.

Pure. Strict: an unknown key, a role without meaning or a group that nobody declares is refused
with the place. What processes read is made from it: `Declared.policy`.
"""

import tomllib
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.audit.retention import FLOOR_MONTHS
from appliance.errors import ApplianceError, FormatError
from appliance.identity import policy
from appliance.identity.principal import SECOND_FACTOR_ROLES, Scope, check_roles

Rule = Literal["secret", "nir", "iban", "card", "siret", "siren", "phone", "email", "injection"]
Rank = Annotated[int, Field(ge=0, le=9)]
GroupPath = Annotated[str, Field(pattern=r"\A(/[a-z0-9][a-z0-9-]{0,62}){1,4}\z")]
Slug = Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9-]{0,62}\z")]
ADMIN_ROLE = "administrateur"
ROLES = frozenset(
    {
        "utilisateur", "exploitant", "auditeur", "rssi", "autorite", "dpo", "application",
        "vectorisation",
    }
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Model(_Strict):
    """`[models.NAME]`: a model that the site offers."""

    kind: Literal["chat", "embed"]
    """What it does."""

    max_label: Rank
    """Highest label of what may be sent to it."""

    roles: list[str] = []
    """Who may use it; empty: every role with the scope."""

    extractive: bool = False
    """It quotes and does not write."""

    vector_weight: Annotated[float, Field(ge=0, le=10)] | None = None
    """Of an embedding model: weight of its cosine beside normalised BM25."""


class Limits(_Strict):
    """`[limits]`: defaults and bounds of a request."""

    max_tokens_default: Annotated[int, Field(ge=1, le=131_072)] = 512
    """Length of an answer, in tokens, when the caller names none."""

    max_tokens: Annotated[int, Field(ge=1, le=131_072)] = 4_096
    """Longest answer that a caller may ask for, in tokens."""

    temperature_default: Annotated[float, Field(ge=0, le=2)] = 0.2
    """Temperature when the caller names none."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Highest temperature."""

    prompt_bytes: Annotated[int, Field(ge=1_000, le=2_000_000)] = 200_000
    """Longest question with its history, in bytes."""

    passages: Annotated[int, Field(ge=1, le=50)] = 8
    """Passages given to a model."""

    passage_bytes: Annotated[int, Field(ge=200, le=20_000)] = 2_000
    """Bytes of a passage; the rest is cut."""


class Outcome(_Strict):
    """`[outcome]`: an answer is asserted above `answer`, passages are shown above `nearby`."""

    nearby: float = -0.73
    """Threshold of nearby passages."""

    answer: float = 0.54
    """Threshold of an answer."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.nearby > self.answer:
            raise ValueError("nearby is above answer")
        return self


class Retention(_Strict):
    """`[retention]`: how long contents are kept. Records: settings of the recorder."""

    months: Literal[6, 12, 36, 60] = 12
    """Older contents are erased."""

    floor: Annotated[int, Field(ge=FLOOR_MONTHS, le=120)] = FLOOR_MONTHS
    """Younger ones never are: months; the recorder has its own and refuses too."""

    ceiling: Annotated[int, Field(ge=FLOOR_MONTHS, le=120)] = 60
    """Older ones raise an alarm, whatever keeps them: months."""

    profile: Literal["standard", "administration"] = "standard"
    """`administration`: an elimination is proposed and waits for the visa in the log."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.floor <= self.months <= self.ceiling:
            raise ValueError("floor, months and ceiling are not in this order")
        return self


class Guards(_Strict):
    """`[guards.inbound]`, `[guards.outbound]`: rule to action, on what comes and goes."""

    inbound: dict[Rule, policy.Action]
    """On questions and passages."""

    outbound: dict[Rule, policy.Action]
    """On answers."""


class Budget(_Strict):
    """`[[budgets]]`: a limit in tokens."""

    key: Annotated[
        str, Field(pattern=r"\A(site|team:(\*|/.+)|user:(\*|[a-z0-9._-]+)|key:\*)\z")
    ]
    """`site`, `team:/equipes/x`, `user:NAME`; `team:*`, `user:*`, `key:*` for all others."""

    period: policy.Period
    """Day, week, month (of the site's time zone) or total."""

    limit: Annotated[int, Field(ge=0, lt=2**53)]
    """Tokens."""

    hard: bool = True
    """Refuse what would pass it; else only report."""


class Collection(_Strict):
    """`[[collections]]`: the unit of access to documents."""

    slug: Slug
    """Name in addresses and in the API."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    """Name on pages."""

    label: Rank
    """Marking of everything in it."""

    readers: list[GroupPath] = []
    """Groups that read it."""

    writers: list[GroupPath] = []
    """Groups that read it and deposit into it."""


class Group(_Strict):
    """`[[groups]]`: a group of people. Below `/equipes/`: a team, which has a budget."""

    path: GroupPath
    """Full path."""

    clearance: Rank | None = None
    """Highest label that its members read."""


class Account(_Strict):
    """`[[people]]`: demo only, where no directory stands behind Keycloak."""

    username: Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9._-]{1,62}\z")]
    """Login."""

    roles: Annotated[list[str], Field(min_length=1)]
    """`administrateur` alone makes an account of the realm of administrators."""

    groups: list[GroupPath] = []
    """Full paths."""

    clearance: Rank | None = None
    """Beside that of the groups."""

    @property
    def realm(self) -> str:
        """Return the realm of the account."""
        return "casemate-admin" if ADMIN_ROLE in self.roles else "casemate"

    @property
    def second_factor(self) -> bool:
        """Tell whether the account signs in with a one-time code."""
        return bool(SECOND_FACTOR_ROLES & frozenset(self.roles))

    @model_validator(mode="after")
    def _compatible(self) -> Self:
        roles = frozenset(self.roles)
        if ADMIN_ROLE in roles and roles != {ADMIN_ROLE}:
            raise ValueError(f"{self.username}: administrateur stands alone")
        if unknown := roles - ROLES - {ADMIN_ROLE}:
            raise ValueError(f"{self.username}: no role {', '.join(sorted(unknown))}")
        try:
            check_roles(roles)
        except ApplianceError as exc:
            raise ValueError(f"{self.username}: {exc}") from exc
        return self


class Declared(_Strict):
    """The whole file."""

    site: Annotated[str, Field(min_length=1, max_length=100)]
    """Name of the site, on each page."""

    labels: Annotated[list[str], Field(min_length=1, max_length=10)]
    """Names of the labels, lowest first: the place in the list is the rank."""

    ungrounded: bool = False
    """May a model answer without documents? Such an answer is labelled."""

    default_model: str
    """Chat model of who names none."""

    roles: dict[str, list[Scope]]
    """`[roles]`: role to scopes."""

    models: dict[str, Model]
    """`[models.NAME]`."""

    guards: Guards
    """`[guards]`."""

    limits: Limits = Limits()
    """`[limits]`."""

    retention: Retention = Retention()
    """`[retention]`."""

    outcome: Outcome = Outcome()
    """`[outcome]`."""

    budgets: list[Budget] = []
    """`[[budgets]]`."""

    collections: list[Collection] = []
    """`[[collections]]`."""

    groups: list[Group] = []
    """`[[groups]]`."""

    people: list[Account] = []
    """`[[people]]`."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        declared = {group.path for group in self.groups}
        named = {path for c in self.collections for path in (*c.readers, *c.writers)}
        named |= {path for person in self.people for path in person.groups}
        _check_empty("no group", named - declared)
        _check_empty("no role", self.roles.keys() - ROLES)
        _check_empty("a role both acts and audits", _acts_and_audits(self.roles))
        _check_empty("no default model", {self.default_model} - self.models.keys())
        ranks = [c.label for c in self.collections] + [
            m.max_label for m in self.models.values()
        ]
        ranks += [g.clearance or 0 for g in self.groups]
        _check_empty("no label", {str(rank) for rank in ranks if rank >= len(self.labels)})
        for what, names in (
            ("collection", [c.slug for c in self.collections]),
            ("group", [g.path for g in self.groups]),
            ("account", [p.username for p in self.people]),
            ("budget", [b.key for b in self.budgets]),
        ):
            _check_empty(f"{what} declared twice", {n for n in names if names.count(n) > 1})
        return self

    def everyone(self, administrator: str) -> list[Account]:
        """Return the declared people, and in any case an administrator who has this name.

        A site whose directory stands behind Keycloak declares nobody. Without a first
        administrator nobody could enter to join that directory to it.
        """
        if not administrator or any(ADMIN_ROLE in one.roles for one in self.people):
            return [*self.people]
        return [*self.people, Account(username=administrator, roles=[ADMIN_ROLE])]

    def policy(self) -> policy.Policy:
        """Return what gateway and console read."""
        models = {
            name: policy.Model(m.kind, m.max_label, sorted(m.roles), m.extractive)
            for name, m in self.models.items()
        }
        weights = {n: m.vector_weight for n, m in self.models.items() if m.vector_weight}
        return policy.Policy(
            site=self.site,
            labels=self.labels,
            roles={role: sorted(scopes) for role, scopes in self.roles.items()},
            models=models,
            guards=policy.Guards(
                inbound={str(rule): action for rule, action in self.guards.inbound.items()},
                outbound={str(rule): action for rule, action in self.guards.outbound.items()},
            ),
            default_model=self.default_model,
            limits=policy.Limits(**self.limits.model_dump()),
            outcome=policy.Outcome(self.outcome.nearby, self.outcome.answer),
            ungrounded=self.ungrounded,
            vector_weights=weights,
            retention_months=self.retention.months,
            retention_floor=self.retention.floor,
            retention_ceiling=self.retention.ceiling,
            retention_visa=self.retention.profile == "administration",
        )


def _check_empty(problem: str, names: set[str]) -> None:
    if names:
        raise ValueError(f"{problem}: {', '.join(sorted(names))}")


# What reads the records of others, and what makes records worth reading.
_AUDITS = frozenset({Scope.EXPORT, Scope.VERIFY})
_ACTS = frozenset({Scope.CHAT, Scope.POLICY, Scope.STOP, Scope.MODELS, Scope.BUDGETS})


def _acts_and_audits(roles: dict[str, list[Scope]]) -> set[str]:
    """Return the roles that would both act and audit."""
    return {r for r, scopes in roles.items() if _AUDITS & set(scopes) and _ACTS & set(scopes)}


def parse(text: str) -> Declared:
    """Read a declared site.

    Raises:
        FormatError: With one line per wrong key.
    """
    try:
        return Declared.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise FormatError(f"site.toml: {exc}") from exc
    except ValidationError as exc:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
        raise FormatError("site.toml:\n" + "\n".join(lines)) from exc

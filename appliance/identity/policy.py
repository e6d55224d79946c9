"""Policy of the site as its processes read it: one JSON file that `casemate site apply` writes.

Its digest is in the leaf of each request, so that a record says under which rules it was
decided.
"""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from appliance.errors import FormatError
from appliance.identity.principal import Scope

Action = Literal["pass", "flag", "mask", "refuse"]
Period = Literal["day", "week", "month", "total"]


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that the site offers."""

    kind: Literal["chat", "embed"]
    max_label: int = 9
    roles: list[str] = []  # empty: every role with the scope
    extractive: bool = False  # quotes, does not write


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults and bounds of a request."""

    max_tokens_default: int = 512
    max_tokens: int = 4_096
    temperature_default: float = 0.2
    temperature: float = 1.0
    prompt_bytes: int = 200_000
    passages: int = 8
    passage_bytes: int = 2_000


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `rag/support.py`."""

    nearby: float = -0.73
    answer: float = 0.54


class Guards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rule name to action, for what comes in and what goes out."""

    inbound: dict[str, Action]
    outbound: dict[str, Action]


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit in tokens."""

    key: str  # site, team:/equipes/x, user:<name>, key:<id>
    period: Period
    limit: int
    hard: bool = True


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the gateway and the console need to know of `site.toml`."""

    site: str
    labels: list[str]  # rank to name
    roles: dict[str, list[Scope]]
    models: dict[str, Model]
    guards: Guards
    default_model: str = ""
    limits: Limits = Limits()
    outcome: Outcome = Outcome()
    ungrounded: bool = False  # may a model answer without documents
    vector_weights: dict[str, float] = {}  # embedding model to weight of the cosine
    team_budget: Budget | None = None  # of teams and users that have none of their own
    user_budget: Budget | None = None
    retention_months: int = 12
    retention_floor: int = 6  # months; nothing younger is erased
    retention_visa: bool = False  # erasures wait for a visa in the log
    retention_ceiling: int = 60  # months; what is older raises an alarm

    def digest(self) -> bytes:
        """Return the SHA-256 of the canonical text."""
        return hashlib.sha256(self.text()).digest()

    def text(self) -> bytes:
        """Return the canonical text."""
        return msgspec.json.encode(self, order="sorted")

    def scopes(self, roles: frozenset[str]) -> frozenset[Scope]:
        """Return what these roles may do."""
        return frozenset(scope for role in roles for scope in self.roles.get(role, []))


def read(path: Path) -> Policy:
    """Read the policy of the site.

    Raises:
        FormatError: There is none, or not in this form.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Policy)
    except (OSError, msgspec.DecodeError) as exc:
        raise FormatError(f"{path}: {exc}") from exc

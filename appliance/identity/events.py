"""What Keycloak's own table of events becomes in the signed log. Pure.

The claim is: complete relative to Keycloak's own table. Each row is told once, under an id made
from Keycloak's, so that telling it again changes nothing. Left out are steps of a login that
another row tells, and the tokens that our own services fetch on the loopback once a minute
(`_STEPS`, `is_own_token`); a type that is new to us is told, never dropped.

Nothing that a person typed is kept: an unknown user name may be a password in the wrong field,
and the representation of an admin event may hold one. Facts in `docs/evenements.fr.md`.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

Row = Mapping[str, Any]
Data = dict[str, str | int]

LOGIN, LOGOUT = "casemate.auth.login.v1", "casemate.auth.logout.v1"
DENIED = "casemate.auth.denied.v1"
USER, ROLE = "casemate.admin.user.v1", "casemate.admin.role.v1"
CONFIG = "casemate.config.change.v1"
DEGRADED, RESTORED = "casemate.service.degraded.v1", "casemate.service.restored.v1"

OVERLAP = 120_000  # milliseconds: a row may appear behind the newest time
PAGE = 100  # rows of one answer
TEXT = 200  # bytes of a field; the log takes as many characters
LOOPBACK = ("127.0.0.1", "::1", "0:0:0:0:0:0:0:1")
OURS = "casemate-"  # client ids of our own services begin so
SOURCE = "keycloak"
ANONYMOUS = "anonymous"

# Rows of a step whose login, or whose owner, another row tells.
_STEPS = {
    "CODE_TO_TOKEN", "REFRESH_TOKEN", "INTROSPECT_TOKEN", "USER_INFO_REQUEST",
    "VALIDATE_ACCESS_TOKEN", "CLIENT_INFO", "PUSHED_AUTHORIZATION_REQUEST",
}  # fmt: skip
_LOGINS = {"LOGIN", "CLIENT_LOGIN", "IMPERSONATE", "TOKEN_EXCHANGE", "IDENTITY_PROVIDER_LOGIN"}
_LOGOUTS = {"LOGOUT", "REVOKE_GRANT"}

_OF_USERS = {"USER", "USER_LOGIN_FAILURE", "USER_SESSION", "USER_CREDENTIAL"}
_OF_RIGHTS = {
    "REALM_ROLE", "CLIENT_ROLE", "REALM_ROLE_MAPPING", "CLIENT_ROLE_MAPPING", "GROUP",
    "GROUP_MEMBERSHIP", "REALM_SCOPE_MAPPING", "CLIENT_SCOPE_MAPPING",
}  # fmt: skip
_is_id = re.compile(r"[0-9A-Za-z_-]{8,60}").fullmatch


@dataclass(frozen=True, slots=True)
class Told:
    """One fact for the log."""

    kind: str
    actor: str
    id: str
    data: Data


@dataclass(slots=True)
class Place:
    """How far one table of one realm was read. Kept on disk between two starts."""

    newest: int = 0  # milliseconds since 1970, of the newest row that was told
    seen: dict[str, int] = field(default_factory=dict)  # id of a row -> its time

    def begin(self, now: int) -> int:
        """Return from which time on to read.

        Args:
            now: The clock of this machine; earlier than `newest` once it was set back.
        """
        return max(0, min(self.newest, now) - OVERLAP)

    def fresh(self, rows: Sequence[Row]) -> list[Row]:
        """Return those of `rows` that were not told, in their order."""
        return [row for row in rows if str(row["id"]) not in self.seen]

    def done(self, rows: Sequence[Row], now: int) -> None:
        """Note rows as told; ids that no later reading meets again are forgotten."""
        for row in rows:
            self.seen[str(row["id"])] = int(row["time"])
            self.newest = max(self.newest, int(row["time"]))
        begin = self.begin(now)
        self.seen = {one: at for one, at in self.seen.items() if at >= begin}

    def stored(self) -> dict[str, Any]:
        """Return what is kept."""
        return {"newest": self.newest, "seen": self.seen}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Read back what was kept."""
        return cls(int(stored["newest"]), {str(k): int(v) for k, v in stored["seen"].items()})


def is_own_token(row: Row) -> bool:
    """Tell whether a service of ours fetched a token on this machine, as each minute."""
    return (
        row.get("type") == "CLIENT_LOGIN"
        and str(row.get("clientId", "")).startswith(OURS)
        and row.get("ipAddress") in LOOPBACK
    )


def of_person(row: Row, realm: str) -> Told | None:
    """Return what a row of the table of user events becomes; None for a mere step."""
    what = str(row.get("type", ""))
    if what in _STEPS or is_own_token(row):
        return None
    details = row.get("details") or {}
    data: dict[str, Any] = {
        "source": SOURCE, "realm": realm, "client": row.get("clientId"),
        "ip": row.get("ipAddress"), "session": row.get("sessionId"),
        "way": details.get("auth_method"), "reason": row.get("error"), "time": row["time"],
    }  # fmt: skip
    kind = _kind_of(what)
    if what not in {"LOGIN", "LOGOUT"}:
        data["action"] = what.lower()
    if kind == USER:
        data["user"] = row.get("userId")
    actor = row.get("userId") or (row.get("clientId") if _is_client(what) else "")
    return Told(kind, _short(actor or ANONYMOUS), _id("u", row, realm), _said(data))


def of_administrator(row: Row, realm: str) -> Told:
    """Return what a row of the table of admin events becomes."""
    resource = str(row.get("resourceType", ""))
    path = str(row.get("resourcePath", ""))
    who = row.get("authDetails") or {}
    kind = (
        USER if resource in _OF_USERS else
        ROLE if resource in _OF_RIGHTS else CONFIG
    )  # fmt: skip
    data: dict[str, Any] = {
        "source": SOURCE, "realm": realm, "action": str(row.get("operationType", "")).lower(),
        "resource": resource.lower(), "path": path, "client": who.get("clientId"),
        "ip": who.get("ipAddress"), "reason": row.get("error"), "time": row["time"],
    }  # fmt: skip
    if path.startswith("users/"):
        data["user"] = path.split("/")[1]
    if kind == ROLE and (names := _names(row.get("representation"))):
        data["role"] = names
    return Told(kind, _short(who.get("userId") or ANONYMOUS), _id("a", row, realm), _said(data))


def switched_off(config: Row) -> list[str]:
    """Return what a realm's settings of events lack, in the words of Keycloak's admin API.

    Args:
        config: The answer of `events/config`.
    """
    lacking = [
        name
        for name in ("eventsEnabled", "adminEventsEnabled", "adminEventsDetailsEnabled")
        if not config.get(name)
    ]
    chosen = set(config.get("enabledEventTypes") or ())
    wanted = {"LOGIN", "LOGIN_ERROR", "LOGOUT", "CLIENT_LOGIN", "UPDATE_CREDENTIAL"}
    # None chosen means all of them.
    return lacking + [
        f"enabledEventTypes: {name}" for name in sorted(wanted - chosen) if chosen
    ]


def _kind_of(what: str) -> str:
    if what.endswith("_ERROR"):
        return DENIED
    if what in _LOGINS:
        return LOGIN
    return LOGOUT if what in _LOGOUTS else USER  # a change that someone makes to an account


def _is_client(what: str) -> bool:
    return what.startswith("CLIENT_")


def _names(representation: Any) -> str:
    """Return the names of roles or groups in a representation, and nothing else of it."""
    found = re.findall(r'"(?:name|path)"\s*:\s*"([^"\\]{1,80})"', str(representation or ""))
    return " ".join(dict.fromkeys(found))


def _said(data: Mapping[str, Any]) -> Data:
    """Return the fields that have a value, no longer than the log takes them."""
    return {
        name: value if isinstance(value, int) else _short(value)
        for name, value in data.items()
        if value not in (None, "")
    }


def _short(value: Any) -> str:
    """Return a text as one line of `TEXT` bytes at most: a stranger may have chosen it."""
    line = "".join(sign if sign.isprintable() else "?" for sign in str(value)[:TEXT])
    return line.encode()[:TEXT].decode(errors="ignore")


def _id(table: str, row: Row, realm: str) -> str:
    """Return the id under which a row is told: the same each time it is read."""
    given = str(row["id"])
    if _is_id(given):
        return f"kc{table}-{given}"
    return f"kc{table}-{hashlib.sha256(f'{realm}/{given}'.encode()).hexdigest()[:40]}"

"""Realms as declared: the files of `identity/realms`, in the words of Keycloak's admin API.

Pure. A declared file says what must be; `differs` says whether what Keycloak has is otherwise,
so that a second pass writes nothing.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

Json = dict[str, Any]
REALMS = ("casemate", "casemate-admin")
MASK = "**********"
PREFIX = "flow:"  # of a step that is a flow

CLAIMS = {
    "access.token.claim": "true",
    "id.token.claim": "true",
    "introspection.token.claim": "true",
}
CLIENT = {
    "protocol": "openid-connect",
    "enabled": True,
    "publicClient": False,
    "clientAuthenticatorType": "client-secret",
    "implicitFlowEnabled": False,
    "directAccessGrantsEnabled": False,
    "consentRequired": False,
}
# Keys of a declared client that are ours; the rest goes to Keycloak as it is.
OURS = {"secret", "scopes", "service_roles", "realm_roles"}
CLEARANCE: Json = {
    "name": "clearance",
    "displayName": "Habilitation",
    "permissions": {"view": ["admin"], "edit": ["admin"]},
    "validations": {"integer": {"min": "0", "max": "9"}},
    "multivalued": False,
}


@dataclass(frozen=True, slots=True)
class Declared:
    """One realm, as its file says."""

    name: str
    text: Json

    @classmethod
    def load(cls, name: str, values: Mapping[str, str]) -> "Declared":
        """Read the file of a realm, `${key}` in its texts replaced by `values[key]`."""
        raw = (files("appliance.identity") / "realms" / f"{name}.toml").read_text("utf-8")
        return cls(name, _filled(tomllib.loads(raw), values))

    def settings(self) -> Json:
        """Return the settings of the realm itself."""
        return dict(self.text["realm"])

    def roles(self) -> dict[str, str]:
        """Return role names and descriptions."""
        return dict(self.text["roles"])

    def composites(self) -> dict[str, list[str]]:
        """Return role names and the roles that they carry."""
        return dict(self.text.get("composites", {}))

    def clients(self) -> list[Json]:
        """Return the clients, with the keys of `OURS`."""
        return list(self.text["clients"])

    def configs(self) -> dict[str, dict[str, str]]:
        """Return the settings of steps, by alias."""
        return dict(self.text["configs"])

    def first(self) -> Json:
        """Return what creates the realm in one call: settings, roles, flows.

        No client scope may be in there: Keycloak would not make its own.
        """
        roles = [{"name": n, "description": d} for n, d in self.roles().items()]
        for role in roles:
            if carried := self.composites().get(role["name"]):
                role |= {"composite": True, "composites": {"realm": carried}}  # type: ignore[dict-item]
        return {
            **self.settings(),
            "roles": {"realm": roles},
            "authenticationFlows": [self._flow(flow) for flow in self.text["flows"]],
            "authenticatorConfig": [
                {"alias": alias, "config": config} for alias, config in self.configs().items()
            ],
        }

    def executions(self, alias: str, level: int = 0) -> Iterator[tuple[int, str, str, str]]:
        """Yield the steps of a flow, its flows unfolded: level, name, requirement, config."""
        flow = next(f for f in self.text["flows"] if f["alias"] == alias)
        for step in flow["steps"]:
            name, requirement, config = [*step, ""][:3]
            yield level, name, requirement, config
            if name.startswith(PREFIX):
                yield from self.executions(name.removeprefix(PREFIX), level + 1)

    def scope(self) -> Json | None:
        """Return the client scope with its mappers, if the realm has one of ours."""
        declared = self.text.get("scope")
        if declared is None:
            return None
        return {
            "name": declared["name"],
            "protocol": "openid-connect",
            "attributes": {
                "include.in.token.scope": "false",
                "display.on.consent.screen": "false",
            },
            "protocolMappers": [
                {
                    "name": mapper["name"],
                    "protocol": "openid-connect",
                    "protocolMapper": mapper["kind"],
                    "config": {**CLAIMS, **mapper["config"]},
                }
                for mapper in declared["mappers"]
            ],
        }

    def scope_roles(self) -> list[str]:
        """Return the roles that the scope is for."""
        return list(self.text["scope"]["roles"]) if "scope" in self.text else []

    @staticmethod
    def _flow(flow: Json) -> Json:
        return {
            "alias": flow["alias"],
            "providerId": "basic-flow",
            "topLevel": flow.get("top", False),
            "builtIn": False,
            "authenticationExecutions": [
                _execution(step, 10 * place) for place, step in enumerate(flow["steps"], 1)
            ],
        }


def _execution(step: list[str], priority: int) -> Json:
    name, requirement, config = [*step, ""][:3]
    made: Json = {"requirement": requirement, "priority": priority, "userSetupAllowed": False}
    if name.startswith(PREFIX):
        return {**made, "flowAlias": name.removeprefix(PREFIX), "authenticatorFlow": True}
    made |= {"authenticator": name, "authenticatorFlow": False}
    return {**made, "authenticatorConfig": config} if config else made


def client(declared: Json, secret: str) -> Json:
    """Return a client for the admin API.

    An account that administers has all its roles in scope; the others, those of our scope.
    """
    given = {key: value for key, value in declared.items() if key not in OURS}
    administers = "service_roles" in declared and not given.get("standardFlowEnabled")
    return {**CLIENT, "fullScopeAllowed": administers, **given, "secret": secret}


def differs(wanted: Any, found: Any) -> bool:
    """Tell whether `found` lacks something of `wanted`; what `wanted` does not name is free."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return True
        return any(differs(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return sorted(map(str, wanted)) != sorted(map(str, found))
    if wanted in ("", [], False) and found is None:  # Keycloak leaves these out
        return False
    return bool(wanted != found)


def unmasked(found: Json, wanted: Json) -> Json:
    """Return the settings of a step, values that Keycloak hides taken for what is wanted.

    It hides what a step does not declare, the reference values of `amr` among them (26.7).
    """
    shown = {
        key: wanted["config"].get(key, value) if value == MASK else value
        for key, value in found.get("config", {}).items()
    }
    return {**found, "config": shown}


def profile(found: Json) -> Json:
    """Return the user profile with `clearance`, which only administrators see and change.

    Names and mail are wanted from nobody, and the account's owner does not change them: they
    are the directory's.
    """
    kept = [dict(a) for a in found["attributes"] if a["name"] != CLEARANCE["name"]]
    for attribute in kept:
        if attribute["name"] in {"email", "firstName", "lastName"}:
            attribute.pop("required", None)
            attribute["permissions"] = {"view": ["admin", "user"], "edit": ["admin"]}
    return {**found, "attributes": [*kept, CLEARANCE]}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for key, text in values.items():
            value = value.replace(f"${{{key}}}", text)
        return value
    if isinstance(value, dict):
        return {key: _filled(inner, values) for key, inner in value.items()}
    return [_filled(inner, values) for inner in value] if isinstance(value, list) else value

"""Make Keycloak what the declared files say. Idempotent: a second pass writes nothing.

The first pass comes in with a temporary client of `master` and makes each realm in one call; it
ends with that client deleted and `master` disabled. Later passes come in through the client
`casemate-provision` of each realm, which can touch no other realm. What drifted is repaired; a
flow whose steps were changed by hand is refused, since Keycloak repairs no flow in place.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keycloak import KeycloakAdmin, KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakError as ClientError
from keycloak.exceptions import KeycloakGetError, KeycloakPutError, raise_error_from_response

from appliance.errors import ApplianceError
from appliance.identity import declaration
from appliance.identity.declaration import Declared, Json, differs

MASTER = "master"
BOOTSTRAP_CLIENT = "casemate-bootstrap"
PROVISION_CLIENT = "casemate-provision"
TIMEOUT = 60  # seconds: the first call makes a whole realm


class ProvisionError(ApplianceError):
    """Keycloak refuses, or holds something that cannot be repaired in place."""

    code = "CM-IDE-08"


@dataclass(slots=True)
class Realm:
    """The admin API of one realm, through one client. Counts what it changes."""

    name: str
    client: KeycloakAdmin
    changes: list[str] = field(default_factory=list)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON at a path below the realm."""
        answer = self.client.connection.raw_get(self._path(path), **query)
        return raise_error_from_response(answer, KeycloakGetError)

    def write(self, verb: str, path: str, body: Any, what: str) -> None:
        """Change something and note it in words."""
        call: Callable[..., Any] = getattr(self.client.connection, f"raw_{verb}")
        answer = call(self._path(path), data=json.dumps(body))
        raise_error_from_response(answer, KeycloakPutError, expected_codes=[200, 201, 202, 204])
        self.changes.append(f"{self.name}: {what}")

    def _path(self, path: str) -> str:
        return f"admin/realms/{self.name}{path}"


def connect(address: str, realm: str, *, client: tuple[str, str], within: str) -> Realm:
    """Return the admin API of `realm` with the rights of a client of the realm `within`.

    Raises:
        ProvisionError: Keycloak refuses the client, or does not answer.
    """
    client_id, secret = client
    connection = KeycloakOpenIDConnection(
        server_url=f"{address}/",
        realm_name=realm,
        user_realm_name=within,
        client_id=client_id,
        client_secret_key=secret,
        timeout=TIMEOUT,
    )
    try:
        connection.get_token()
    except ClientError as exc:
        raise ProvisionError(f"{within}: {client_id} may not come in: {exc}") from exc
    return Realm(realm, KeycloakAdmin(connection=connection))


def provision(address: str, values: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """Bring both realms to what their files declare; return what was changed, in words.

    Args:
        address: Keycloak on the loopback.
        values: What `${…}` stands for in the files.
        secrets: `bootstrap`, `provision`, `console`, `worker` and `events`.

    Raises:
        ProvisionError: Keycloak refuses.
    """
    changes: list[str] = []
    try:
        for name in declaration.REALMS:
            declared = Declared.load(name, values)
            realm = _enter(address, declared, secrets)
            reconcile(realm, declared, secrets)
            changes += realm.changes
        changes += _close_master(address, secrets["bootstrap"])
    except ClientError as exc:
        raise ProvisionError(f"Keycloak refuses: {exc}") from exc
    return changes


def _enter(address: str, declared: Declared, secrets: Mapping[str, str]) -> Realm:
    """Return the realm, made if it is not there."""
    own = (PROVISION_CLIENT, secrets["provision"])
    try:
        return connect(address, declared.name, client=own, within=declared.name)
    except ProvisionError:
        first = (BOOTSTRAP_CLIENT, secrets["bootstrap"])
        realm = connect(address, declared.name, client=first, within=MASTER)
    if declared.name not in {r["realm"] for r in realm.client.get_realms()}:
        realm.client.create_realm(declared.first())
        realm.changes.append(f"{declared.name}: made")
        realm.client.connection.get_token()  # the old one does not know the new realm
    return realm


def reconcile(realm: Realm, declared: Declared, secrets: Mapping[str, str]) -> None:
    """Repair everything that differs from the declaration."""
    if differs(declared.settings(), realm.get("")):
        realm.write("put", "", declared.settings(), "settings")
    found = realm.get("/users/profile")
    if (wanted := declaration.profile(found)) != found:
        realm.write("put", "/users/profile", wanted, "user profile")
    _roles(realm, declared)
    _flows(realm, declared)
    _scope(realm, declared)
    for client in declared.clients():
        _client(realm, client, secrets[client["secret"]])


def _roles(realm: Realm, declared: Declared) -> None:
    found = {role["name"]: role for role in realm.get("/roles", briefRepresentation="false")}
    for name, description in declared.roles().items():
        wanted = {"name": name, "description": description}
        if name not in found:
            realm.write("post", "/roles", wanted, f"role {name}")
        elif differs(wanted, found[name]):
            realm.write("put", f"/roles/{name}", {**found[name], **wanted}, f"role {name}")
    for name, carried in declared.composites().items():
        has = {role["name"] for role in realm.get(f"/roles/{name}/composites")}
        if missing := [realm.get(f"/roles/{c}") for c in carried if c not in has]:
            realm.write("post", f"/roles/{name}/composites", missing, f"role {name} carries")


def _flows(realm: Realm, declared: Declared) -> None:
    top = declared.settings()["browserFlow"]
    executions = realm.get(f"/authentication/flows/{_quoted(top)}/executions")
    wanted = list(declared.executions(top))
    for step, (level, name, requirement, config) in zip(executions, wanted, strict=False):
        title = step["displayName"] if step.get("authenticationFlow") else step["providerId"]
        if (step["level"], title) != (level, name.removeprefix(declaration.PREFIX)):
            break
        if step["requirement"] != requirement:
            path = f"/authentication/flows/{_quoted(top)}/executions"
            realm.write("put", path, {**step, "requirement": requirement}, f"step {title}")
        if config:
            _step_config(realm, step, config, declared.configs()[config])
    else:
        if len(executions) == len(wanted):
            return
    raise ProvisionError(f"{realm.name}: the flow « {top} » was changed by hand; undo that")


def _step_config(realm: Realm, step: Json, alias: str, config: Mapping[str, str]) -> None:
    body = {"alias": alias, "config": dict(config)}
    if (known := step.get("authenticationConfig")) is None:
        path = f"/authentication/executions/{step['id']}/config"
        realm.write("post", path, body, f"settings {alias}")
        return
    found = realm.get(f"/authentication/config/{known}")
    if differs(body, declaration.unmasked(found, body)):
        realm.write("put", f"/authentication/config/{known}", found | body, f"settings {alias}")


def _scope(realm: Realm, declared: Declared) -> None:
    wanted = declared.scope()
    if wanted is None:
        return
    scopes = {scope["name"]: scope for scope in realm.get("/client-scopes")}
    if wanted["name"] not in scopes:
        realm.write("post", "/client-scopes", wanted, f"scope {wanted['name']}")
        scopes = {scope["name"]: scope for scope in realm.get("/client-scopes")}
    found = scopes[wanted["name"]]
    path = f"/client-scopes/{found['id']}"
    own = {key: value for key, value in wanted.items() if key != "protocolMappers"}
    if differs(own, found):
        realm.write("put", path, {**found, **own}, f"scope {wanted['name']}")
    _mappers(realm, f"{path}/protocol-mappers/models", wanted["protocolMappers"])
    held = {role["name"] for role in realm.get(f"{path}/scope-mappings/realm")}
    if missing := [realm.get(f"/roles/{r}") for r in declared.scope_roles() if r not in held]:
        realm.write("post", f"{path}/scope-mappings/realm", missing, "roles of the scope")


def _mappers(realm: Realm, path: str, wanted: list[Json]) -> None:
    found = {mapper["name"]: mapper for mapper in realm.get(path)}
    for mapper in wanted:
        what = f"claim {mapper['name']}"
        known = found.pop(mapper["name"], None)
        if known is None:
            realm.write("post", path, mapper, what)
        elif differs(mapper, known):
            realm.write("put", f"{path}/{known['id']}", {**known, **mapper}, what)
    for extra in found.values():
        realm.write("delete", f"{path}/{extra['id']}", {}, f"claim {extra['name']} removed")


def _client(realm: Realm, declared: Json, secret: str) -> None:
    name = declared["clientId"]
    wanted = declaration.client(declared, secret)
    if not (known := realm.get("/clients", clientId=name)):
        made = {**wanted, "defaultClientScopes": declared["scopes"], "optionalClientScopes": []}
        realm.write("post", "/clients", made, f"client {name}")
        known = realm.get("/clients", clientId=name)
    found = known[0]
    path = f"/clients/{found['id']}"
    if differs(wanted, found):
        realm.write("put", path, {**found, **wanted}, f"client {name}")
    _client_scopes(realm, path, declared)
    if declared.get("serviceAccountsEnabled"):
        _service_roles(realm, path, declared)


def _client_scopes(realm: Realm, path: str, declared: Json) -> None:
    for kind, wanted in (("default", set(declared["scopes"])), ("optional", set[str]())):
        held = {s["name"]: s["id"] for s in realm.get(f"{path}/{kind}-client-scopes")}
        every = {s["name"]: s["id"] for s in realm.get("/client-scopes")}
        for name in sorted(wanted - held.keys()):
            what = f"client {declared['clientId']} has scope {name}"
            realm.write("put", f"{path}/{kind}-client-scopes/{every[name]}", {}, what)
        for name in sorted(held.keys() - wanted):
            what = f"client {declared['clientId']} has no scope {name}"
            realm.write("delete", f"{path}/{kind}-client-scopes/{held[name]}", {}, what)


def _service_roles(realm: Realm, path: str, declared: Json) -> None:
    """Give the client's account its roles, and have them in the client's scope."""
    user = realm.get(f"{path}/service-account-user")["id"]
    name = declared["clientId"]
    _assign(realm, f"/users/{user}/role-mappings/realm", declared.get("realm_roles", []), name)
    manager = realm.get("/clients", clientId="realm-management")[0]["id"]
    wanted = declared.get("service_roles", [])
    _assign(realm, f"/users/{user}/role-mappings/clients/{manager}", wanted, name)
    if declared.get("standardFlowEnabled"):
        _assign(realm, f"{path}/scope-mappings/clients/{manager}", wanted, name)


def _assign(realm: Realm, path: str, wanted: list[str], who: str) -> None:
    held = {role["name"] for role in realm.get(path)}
    if set(wanted) <= held:
        return
    offered = {role["name"]: role for role in realm.get(f"{path}/available")}
    missing = [offered[name] for name in wanted if name not in held]
    realm.write("post", path, missing, f"roles of {who}")


def _close_master(address: str, secret: str) -> list[str]:
    """Disable `master` and delete the temporary client, if they are still there."""
    try:
        master = connect(address, MASTER, client=(BOOTSTRAP_CLIENT, secret), within=MASTER)
    except ProvisionError:
        return []
    client = master.get("/clients", clientId=BOOTSTRAP_CLIENT)[0]
    settings = {"enabled": False, "bruteForceProtected": True, "eventsEnabled": True}
    master.write("put", "", settings, "disabled")
    master.write("delete", f"/clients/{client['id']}", {}, "temporary client removed")
    return master.changes


def _quoted(alias: str) -> str:
    return alias.replace(" ", "%20")

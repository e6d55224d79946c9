"""Groups and people of a realm, as declared. Idempotent; who is not declared is left alone.

On a site the directory behind Keycloak does this; the demo declares its people in `site.toml`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from appliance.errors import ApplianceError
from appliance.identity.declaration import Json, differs
from appliance.identity.principal import check_roles
from appliance.identity.provision import Realm


class AccountError(ApplianceError):
    """An account cannot be made as declared."""

    code = "CM-IDE-08"


@dataclass(frozen=True, slots=True)
class Person:
    """An account as declared, with the credentials of its first day."""

    username: str
    roles: frozenset[str]
    groups: tuple[str, ...]  # full paths
    clearance: int | None  # beside that of the groups
    password: str = field(repr=False)
    otp: str = field(repr=False)  # base32, "" for none


def put_groups(realm: Realm, clearances: Mapping[str, int | None]) -> None:
    """Make groups be there, with their parents, and carry these clearances (None: no own)."""
    for path in sorted(clearances):
        parent = ""
        for name in path.strip("/").split("/"):
            here = f"{parent}/{name}"
            group = _group(realm, here) or _make_group(realm, parent, name)
            if (clearance := clearances.get(here)) is not None:
                wanted = {"attributes": {"clearance": [str(clearance)]}}
                if differs(wanted, group):
                    realm.write(
                        "put", f"/groups/{group['id']}", {**group, **wanted}, f"group {here}"
                    )
            parent = here


def put_person(realm: Realm, person: Person) -> str:
    """Make an account be as declared and return its subject.

    Credentials are set when the account is made: afterwards they are its owner's. Roles and
    groups are exactly those declared.

    Raises:
        RoleConflictError: An auditor would audit their own acts.
        AccountError: A role or a group does not exist.
    """
    check_roles(person.roles)
    found = realm.get("/users", username=person.username, exact="true")
    if not found:
        realm.write("post", "/users", _new(person), f"account {person.username}")
        found = realm.get("/users", username=person.username, exact="true")
    user = realm.get(f"/users/{found[0]['id']}")
    wanted: Json = {"enabled": True}
    if person.clearance is not None:
        wanted["attributes"] = {"clearance": [str(person.clearance)]}
    if differs(wanted, user):
        merged = {**user.get("attributes", {}), **wanted.get("attributes", {})}
        body = {**user, **wanted, "attributes": merged}
        realm.write("put", f"/users/{user['id']}", body, f"account {person.username}")
    _put_roles(realm, user["id"], person)
    _put_memberships(realm, user["id"], person)
    return str(user["id"])


def _group(realm: Realm, path: str) -> Json | None:
    found = realm.get(
        "/groups", search=path.rpartition("/")[2], exact="true", populateHierarchy="true"
    )
    for group in _flat(found):
        if group["path"] == path:
            whole: Json = realm.get(f"/groups/{group['id']}")
            return whole
    return None


def _flat(groups: list[Json]) -> list[Json]:
    return [g for group in groups for g in (group, *_flat(group.get("subGroups", [])))]


def _make_group(realm: Realm, parent: str, name: str) -> Json:
    above = _group(realm, parent) if parent else None
    path = f"/groups/{above['id']}/children" if above else "/groups"
    realm.write("post", path, {"name": name}, f"group {parent}/{name}")
    made = _group(realm, f"{parent}/{name}")
    if made is None:
        raise AccountError(f"group {parent}/{name} was not made")
    return made


def _new(person: Person) -> Json:
    credentials: list[Json] = [
        {"type": "password", "value": person.password, "temporary": False}
    ]
    if person.otp:
        data = {
            "subType": "totp",
            "digits": 6,
            "counter": 0,
            "period": 30,
            "algorithm": "HmacSHA1",
            "secretEncoding": "BASE32",
        }
        credentials.append(
            {
                "type": "otp",
                "secretData": json.dumps({"value": person.otp}),
                "credentialData": json.dumps(data),
            }
        )
    return {"username": person.username, "enabled": True, "credentials": credentials}


def _put_roles(realm: Realm, user: str, person: Person) -> None:
    path = f"/users/{user}/role-mappings/realm"
    held = {r["name"]: r for r in realm.get(path) if not r["name"].startswith("default-roles-")}
    missing = sorted(person.roles - held.keys())
    if extra := [held[name] for name in sorted(held.keys() - person.roles)]:
        realm.write("delete", path, extra, f"roles of {person.username} removed")
    if missing:
        roles = [realm.get(f"/roles/{quote(name)}") for name in missing]
        realm.write("post", path, roles, f"roles of {person.username}")


def _put_memberships(realm: Realm, user: str, person: Person) -> None:
    held = {g["path"]: g["id"] for g in realm.get(f"/users/{user}/groups")}
    for path in sorted(set(person.groups) - held.keys()):
        group = _group(realm, path)
        if group is None:
            raise AccountError(f"{person.username}: no group {path}")
        what = f"{person.username} in {path}"
        realm.write("put", f"/users/{user}/groups/{group['id']}", {}, what)
    for path in sorted(held.keys() - set(person.groups)):
        what = f"{person.username} not in {path}"
        realm.write("delete", f"/users/{user}/groups/{held[path]}", {}, what)

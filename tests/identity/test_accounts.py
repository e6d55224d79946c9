import pytest

from appliance.identity.accounts import AccountError, Person, put_groups, put_person
from appliance.identity.principal import RoleConflictError
from tests.identity_server import PASSWORD, Site


def person(
    name: str, *roles: str, groups: tuple[str, ...] = (), rank: int | None = None
) -> Person:
    return Person(name, frozenset(roles), groups, rank, PASSWORD, "")


def test_a_second_pass_over_groups_and_people_writes_nothing(site: Site) -> None:
    admin = site.admin()
    wanted = person("declared", "utilisateur", "dpo", groups=("/a/b/c", "/a"), rank=2)
    put_groups(admin, {"/a/b/c": 3, "/a": None})
    subject = put_person(admin, wanted)
    assert admin.changes
    admin.changes.clear()
    put_groups(admin, {"/a/b/c": 3, "/a": None})
    assert put_person(admin, wanted) == subject
    assert admin.changes == []


def test_roles_groups_and_clearance_become_those_declared(site: Site) -> None:
    admin = site.admin()
    put_groups(admin, {"/x": 1, "/y": 2})
    subject = put_person(admin, person("moved", "utilisateur", "rssi", groups=("/x",), rank=1))
    put_person(admin, person("moved", "utilisateur", "dpo", groups=("/y",), rank=3))
    roles = {r["name"] for r in admin.get(f"/users/{subject}/role-mappings/realm")}
    assert {r for r in roles if not r.startswith("default-")} == {"utilisateur", "dpo"}
    assert [g["path"] for g in admin.get(f"/users/{subject}/groups")] == ["/y"]
    assert admin.get(f"/users/{subject}")["attributes"]["clearance"] == ["3"]


def test_a_disabled_account_that_is_declared_is_enabled_again(site: Site) -> None:
    admin = site.admin()
    subject = put_person(admin, person("back", "utilisateur"))
    admin.write("put", f"/users/{subject}", {"enabled": False}, "disabled")
    put_person(admin, person("back", "utilisateur"))
    assert admin.get(f"/users/{subject}")["enabled"] is True


@pytest.mark.parametrize("role", ["exploitant", "rssi", "administrateur"])
def test_an_auditor_who_acts_is_refused_before_anything_is_written(
    site: Site, role: str
) -> None:
    admin = site.admin()
    with pytest.raises(RoleConflictError):
        put_person(admin, person("conflict", "auditeur", role))
    assert admin.changes == []
    assert admin.get("/users", username="conflict", exact="true") == []


def test_a_group_that_does_not_exist_is_refused(site: Site) -> None:
    with pytest.raises(AccountError, match="/nowhere"):
        put_person(site.admin(), person("lost", "utilisateur", groups=("/nowhere",)))


def test_neither_password_nor_secret_is_in_the_repr() -> None:
    shown = repr(Person("n", frozenset(), (), None, "the-password", "the-otp"))
    assert "the-" not in shown

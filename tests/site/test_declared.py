import re
from pathlib import Path

import pytest

from appliance.errors import FormatError
from appliance.identity.principal import Scope
from appliance.site import declared as module
from appliance.site.declared import ROLES, Declared, parse

SAMPLE = Path(module.__file__).parent / "sample" / "site.toml"
TEXT = SAMPLE.read_text("utf-8")


def test_the_sample_site_is_read() -> None:
    site = parse(TEXT)
    assert [c.slug for c in site.collections] == [
        "procedures",
        "ressources-humaines",
        "securite",
    ]
    users = [p for p in site.people if p.roles == ["utilisateur"]]
    assert len({p.groups[0] for p in users}) == 2
    ranks = {g.path: g.clearance for g in site.groups}
    assert len({ranks[p.groups[0]] for p in users}) == 2
    roles = {role for person in site.people for role in person.roles}
    assert roles == ROLES - {"application", "vectorisation"} | {"administrateur"}
    assert sum("rssi" in p.roles for p in site.people) >= 2  # starting again takes two


def test_each_role_has_the_scopes_of_the_interfaces() -> None:
    policy = parse(TEXT).policy()
    assert policy.roles.keys() == ROLES
    given = {scope for scopes in policy.roles.values() for scope in scopes}
    assert given == set(Scope)
    assert policy.scopes(frozenset({"application"})) == {Scope.CHAT, Scope.EMBED, Scope.SEARCH}
    assert Scope.START_APPROVE in policy.scopes(frozenset({"rssi"}))
    assert Scope.START_APPROVE not in policy.scopes(frozenset({"exploitant"}))
    assert not policy.scopes(frozenset({"administrateur"}))


def test_the_same_file_gives_the_same_policy_and_each_change_another() -> None:
    first, second = parse(TEXT).policy(), parse(TEXT).policy()
    assert first.text() == second.text()
    changed = parse(TEXT.replace("ungrounded = false", "ungrounded = true")).policy()
    assert changed.digest() != first.digest()


def test_the_policy_holds_what_the_file_says() -> None:
    policy = parse(TEXT).policy()
    assert policy.default_model == "extraits"
    assert policy.models["extraits"].extractive
    assert policy.vector_weights == {"all-minilm-l6-v2": 0.2}
    assert policy.guards.inbound["secret"] == "refuse"
    assert policy.guards.outbound["nir"] == "mask"
    assert (policy.outcome.nearby, policy.outcome.answer) == (-0.73, 0.54)
    assert policy.limits.passages == 8
    kept = (policy.retention_floor, policy.retention_months, policy.retention_ceiling)
    assert kept == (6, 12, 13)


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1, old
    return TEXT.replace(old, new, 1)


REFUSED = [
    pytest.param(changed("ungrounded", "ungounded"), "ungounded", id="mistyped key"),
    pytest.param(changed('"export"', '"root"'), "roles.auditeur", id="unknown scope"),
    pytest.param(changed("auditeur = [", "auditrice = ["), "no role", id="unknown role"),
    pytest.param(
        changed('secret = "refuse"', 'secret = "drop"'), "secret", id="unknown action"
    ),
    pytest.param(changed('nir = "flag"', 'nri = "flag"'), "nri", id="unknown rule"),
    pytest.param(
        changed('path = "/pilotage"', 'path = "/autre"'), "no group", id="no such group"
    ),
    pytest.param(changed('"/pilotage"]', '"pilotage"]'), "readers", id="path without slash"),
    pytest.param(changed("label = 2", "label = 4"), "no label", id="label beyond the list"),
    pytest.param(changed('"extraits"', '"gpt"'), "default model", id="no such model"),
    pytest.param(changed("nearby = -0.73", "nearby = 1"), "outcome", id="thresholds crossed"),
    pytest.param(changed("limit = 5", "limit = -5"), "limit", id="negative budget"),
    pytest.param(changed('key = "site"', 'key = "sites"'), "budgets", id="unknown budget"),
    pytest.param(changed('"team:*"', '"user:*"'), "declared twice", id="budget twice"),
    pytest.param(changed('"dominique"', '"camille"'), "declared twice", id="account twice"),
    pytest.param(changed('slug = "securite"', 'slug = "procedures"'), "twice", id="slug twice"),
    pytest.param(
        changed('slug = "securite"', 'slug = "Sécurité"'), "slug", id="slug with accent"
    ),
    pytest.param(
        changed('slug = "securite"', 'slug = "securite\\n"'), "slug", id="slug with a newline"
    ),
    pytest.param(
        changed('roles = ["auditeur"]', 'roles = ["auditeur", "rssi"]'),
        "cannot be combined",
        id="audits and acts",
    ),
    pytest.param(
        changed('auditeur = ["records.all"', 'auditeur = ["records.all", "stop"'),
        "both acts and audits",
        id="a role that audits and acts",
    ),
    pytest.param(
        changed('["administrateur"]', '["administrateur", "utilisateur"]'),
        "stands alone",
        id="administrator with another role",
    ),
    pytest.param(changed('"lou"', '"Lou"'), "username", id="capital in an account"),
    pytest.param(changed("months = 12", "months = 7"), "retention.months", id="other months"),
    pytest.param(changed("months = 12", "months = 36"), "in this order", id="past the ceiling"),
    pytest.param(changed("floor = 6", "floor = 5"), "retention.floor", id="below six months"),
    pytest.param(changed("floor = 6", "floor = 13"), "in this order", id="below the floor"),
    pytest.param("site = ", "site.toml", id="no TOML"),
    pytest.param("", "labels", id="empty"),
]


@pytest.mark.parametrize(("text", "place"), REFUSED)
def test_a_wrong_file_is_refused_with_the_place(text: str, place: str) -> None:
    with pytest.raises(FormatError, match=re.escape(place)):
        parse(text)


def test_every_key_is_documented() -> None:
    models = [
        v for v in vars(module).values()
        if isinstance(v, type) and issubclass(v, module._Strict) and v is not module._Strict
    ]  # fmt: skip
    assert Declared in models
    for model in models:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_a_first_administrator_joins_only_people_without_one() -> None:
    whole = parse(TEXT)
    assert any("administrateur" in one.roles for one in whole.people)
    assert whole.everyone("a.martin") == whole.people
    alone = whole.model_copy(update={"people": []})
    (made,) = alone.everyone("a.martin")
    assert (made.username, made.realm, made.second_factor) == (
        "a.martin",
        "casemate-admin",
        True,
    )
    assert alone.everyone("") == []

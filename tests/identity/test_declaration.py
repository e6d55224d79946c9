import pytest

from appliance.identity import declaration
from appliance.identity.declaration import REALMS, Declared, client, differs, profile, unmasked

VALUES = {"origin": "https://casemate.example", "admin_front": "https://admin.example/auth"}
SITE, ADMIN = (Declared.load(name, VALUES) for name in REALMS)


def test_no_place_holder_is_left_and_the_origin_is_filled_in() -> None:
    for declared in (SITE, ADMIN):
        assert "${" not in str(declared.text)
    console = SITE.clients()[0]
    assert console["redirectUris"] == ["https://casemate.example/connexion/retour"]
    assert ADMIN.settings()["attributes"]["frontendUrl"] == "https://admin.example/auth"


@pytest.mark.parametrize("declared", [SITE, ADMIN], ids=REALMS)
def test_what_makes_a_realm_names_no_client_scope(declared: Declared) -> None:
    """Keycloak would not make its own scopes then."""
    first = declared.first()
    assert "clientScopes" not in first
    assert "clients" not in first
    assert first["accessTokenLifespan"] == 60
    assert first["otpPolicyCodeReusable"] is False


@pytest.mark.parametrize("declared", [SITE, ADMIN], ids=REALMS)
def test_each_step_that_names_settings_has_them(declared: Declared) -> None:
    top = declared.settings()["browserFlow"]
    steps = list(declared.executions(top))
    assert {config for *_, config in steps if config} == set(declared.configs())
    assert max(level for level, *_ in steps) == 2


@pytest.mark.parametrize("declared", [SITE, ADMIN], ids=REALMS)
def test_no_level_stands_twice_in_a_flow(declared: Declared) -> None:
    """Two conditions with one number break the discovery page of the realm."""
    levels = [c["loa-condition-level"] for c in declared.configs().values() if len(c) == 2
              and "loa-condition-level" in c]  # fmt: skip
    assert len(levels) == len(set(levels))


def test_roles_that_need_a_second_factor_carry_it() -> None:
    assert SITE.composites().keys() == {"auditeur", "rssi"}
    assert ADMIN.composites().keys() == {"administrateur"}
    assert SITE.first()["browserFlow"] == "casemate browser"
    conditions = [name for _, name, *_ in SITE.executions("casemate browser")]
    assert conditions[-3:] == [
        "conditional-user-role",
        "conditional-sub-flow-executed",
        "auth-otp-form",
    ]


def test_the_scope_gives_the_claims_that_tokens_are_read_for() -> None:
    scope = SITE.scope()
    assert scope is not None
    claims = {m["config"].get("claim.name") for m in scope["protocolMappers"]}
    assert claims >= {"roles", "groups", "clearance", "preferred_username"}
    assert set(SITE.scope_roles()) == SITE.roles().keys() - {"second-facteur"}
    assert ADMIN.scope() is None


def test_a_client_is_confidential_and_gives_no_token_for_a_password() -> None:
    for declared in SITE.clients():
        made = client(declared, "a-secret")
        assert not made["publicClient"]
        assert not made["directAccessGrantsEnabled"]
        assert made["secret"] == "a-secret"
        assert not declaration.OURS & made.keys() - {"secret"}
    full = {c["clientId"] for c in SITE.clients() if client(c, "s")["fullScopeAllowed"]}
    assert full == {"casemate-events", "casemate-provision"}  # each for one service account


@pytest.mark.parametrize(
    ("wanted", "found", "different"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, False, id="more is free"),
        pytest.param({"a": 1}, {"a": 2}, True, id="other value"),
        pytest.param({"a": 1}, {}, True, id="absent"),
        pytest.param({"a": {"b": "x"}}, {"a": {"b": "y"}}, True, id="deep"),
        pytest.param({"a": {"b": "x"}}, {"a": None}, True, id="nothing there"),
        pytest.param({"a": ["x", "y"]}, {"a": ["y", "x"]}, False, id="order of a list"),
        pytest.param({"a": ["x"]}, {"a": ["x", "y"]}, True, id="longer list"),
        pytest.param({"a": ""}, {}, False, id="empty is left out"),
        pytest.param({"a": False}, {}, False, id="false is left out"),
        pytest.param({"a": True}, {}, True, id="true is not"),
    ],
)
def test_only_what_is_declared_is_compared(
    wanted: object, found: object, *, different: bool
) -> None:
    assert differs(wanted, found) is different


def test_a_hidden_value_is_taken_for_the_declared_one() -> None:
    wanted = {"alias": "a", "config": {"x": "1", "y": "2"}}
    found = {"id": "i", "alias": "a", "config": {"x": "**********", "y": "3"}}
    assert unmasked(found, wanted)["config"] == {"x": "1", "y": "3"}
    assert differs(wanted, unmasked(found, wanted))


def test_the_profile_holds_the_clearance_once_out_of_reach_of_its_owner() -> None:
    email = {"name": "email", "required": {"roles": ["user"]}, "permissions": {}}
    found = {"attributes": [{"name": "username"}, email], "groups": []}
    made = profile(found)
    assert profile(made) == made
    (clearance,) = [a for a in made["attributes"] if a["name"] == "clearance"]
    assert clearance["permissions"] == {"view": ["admin"], "edit": ["admin"]}
    assert "required" not in made["attributes"][1]
    assert email["required"]  # what was given is not changed

"""Both realms on the real Keycloak: what the first pass made, what a later one repairs."""

from dataclasses import replace

import pytest
from keycloak.exceptions import KeycloakError

from appliance.identity.declaration import Declared
from appliance.identity.provision import (
    BOOTSTRAP_CLIENT,
    ProvisionError,
    connect,
    provision,
)
from appliance.site.keycloak import locked
from tests.identity_server import SECRETS, Site


def again(site: Site) -> list[str]:
    return provision(site.instance.address, site.values, SECRETS)


def test_the_server_is_the_keycloak_that_is_locked(site: Site) -> None:
    info = site.admin().client.get_server_info()
    assert info["systemInfo"]["version"] == locked().version
    path = "/auth/realms/casemate/.well-known/openid-configuration"
    metadata = site.browser().ask(f"{site.origin}{path}")
    assert f'"issuer":"{site.realm.issuer}"' in metadata.text


def test_its_temporary_files_are_in_the_folder_of_the_instance(site: Site) -> None:
    assert list((site.instance.scratch / "vertx-cache").iterdir())


def test_the_first_pass_made_both_realms_and_closed_master(site: Site) -> None:
    assert "casemate: made" in site.first_changes
    assert "casemate-admin: made" in site.first_changes
    assert site.first_changes[-2:] == ("master: disabled", "master: temporary client removed")


def test_a_second_pass_writes_nothing(site: Site) -> None:
    assert again(site) == []


def test_the_temporary_client_comes_in_no_more(site: Site) -> None:
    client = (BOOTSTRAP_CLIENT, SECRETS["bootstrap"])
    with pytest.raises(ProvisionError):
        connect(site.instance.address, "master", client=client, within="master")


def test_the_client_of_one_realm_touches_no_other(site: Site) -> None:
    for realm in ("master", "casemate-admin"):
        with pytest.raises(KeycloakError):
            replace(site.admin(), name=realm).get("")


def test_a_wrong_secret_changes_nothing(site: Site) -> None:
    with pytest.raises(ProvisionError):
        provision(
            site.instance.address, site.values, {**SECRETS, "provision": "x", "bootstrap": "y"}
        )


OTP_POLICY = {
    key: value
    for key, value in Declared.load("casemate", {}).settings().items()
    if key.startswith("otpPolicy")
}
DRIFTS = [
    pytest.param("", {"failureFactor": 30}, id="brute force"),
    pytest.param("", {"accessTokenLifespan": 3600}, id="life of tokens"),
    pytest.param("", {**OTP_POLICY, "otpPolicyCodeReusable": True}, id="reusable codes"),
    pytest.param("", {"eventsEnabled": False}, id="events"),
    pytest.param("", {"browserFlow": "browser"}, id="the flow of the product, without codes"),
]


@pytest.mark.parametrize(("path", "drift"), DRIFTS)
def test_drift_of_the_realm_is_repaired(
    site: Site, path: str, drift: dict[str, object]
) -> None:
    site.admin().write("put", path, drift, "drift")
    assert again(site) == ["casemate: settings"]
    assert again(site) == []


def test_drift_of_a_client_is_repaired(site: Site) -> None:
    admin = site.admin()
    (found,) = admin.get("/clients", clientId="casemate-console")
    drift = {**found, "redirectUris": ["*"], "directAccessGrantsEnabled": True}
    drift["attributes"] = {**found["attributes"], "pkce.code.challenge.method": ""}
    admin.write("put", f"/clients/{found['id']}", drift, "drift")
    assert again(site) == [
        "casemate: client casemate-console",
        "casemate: client casemate-console has no scope service_account",  # it came back
    ]
    (repaired,) = admin.get("/clients", clientId="casemate-console")
    assert repaired["redirectUris"] == found["redirectUris"]
    assert repaired["attributes"]["pkce.code.challenge.method"] == "S256"
    assert again(site) == []


def test_drift_of_scopes_roles_and_claims_is_repaired(site: Site) -> None:
    admin = site.admin()
    scopes = {s["name"]: s["id"] for s in admin.get("/client-scopes")}
    (console,) = admin.get("/clients", clientId="casemate-console")
    path = f"/client-scopes/{scopes['casemate']}"
    client = f"/clients/{console['id']}"
    admin.write("put", f"{client}/default-client-scopes/{scopes['roles']}", {}, "drift")
    admin.write(
        "put", f"{client}/optional-client-scopes/{scopes['offline_access']}", {}, "drift"
    )
    mappers = {m["name"]: m for m in admin.get(f"{path}/protocol-mappers/models")}
    wrong = mappers["clearance"]
    wrong["config"]["user.attribute"] = "anything"
    admin.write("put", f"{path}/protocol-mappers/models/{wrong['id']}", wrong, "drift")
    extra = {**mappers["amr"], "name": "extra"}
    extra.pop("id")
    admin.write("post", f"{path}/protocol-mappers/models", extra, "drift")
    carried = admin.get("/roles/rssi/composites")
    admin.write("delete", "/roles/rssi/composites", carried, "drift")
    roles = [admin.get("/roles/utilisateur")]
    admin.write("delete", f"{path}/scope-mappings/realm", roles, "drift")
    assert sorted(again(site)) == [
        "casemate: claim clearance",
        "casemate: claim extra removed",
        "casemate: client casemate-console has no scope offline_access",
        "casemate: client casemate-console has no scope roles",
        "casemate: role rssi carries",
        "casemate: roles of the scope",
    ]
    assert again(site) == []


def test_a_step_made_optional_is_repaired(site: Site) -> None:
    admin = site.admin()
    path = "/authentication/flows/casemate%20browser/executions"
    steps = admin.get(path)
    step = steps[-1]
    assert step["providerId"] == "auth-otp-form"
    admin.write("put", path, {**step, "requirement": "DISABLED"}, "drift")
    assert again(site) == ["casemate: step auth-otp-form"]
    assert again(site) == []


def test_the_level_of_a_step_is_repaired(site: Site) -> None:
    admin = site.admin()
    steps = admin.get("/authentication/flows/casemate%20browser/executions")
    (config,) = [s["authenticationConfig"] for s in steps if s.get("alias") == "casemate loa2"]
    drift = {"alias": "casemate loa2", "config": {"loa-condition-level": "9"}}
    admin.write("put", f"/authentication/config/{config}", drift, "drift")
    assert again(site) == ["casemate: settings casemate loa2"]
    assert again(site) == []


def test_a_flow_whose_steps_were_changed_is_refused_and_not_guessed(site: Site) -> None:
    admin = site.admin()
    flow = "/authentication/flows/casemate%20forms/executions"
    admin.write("post", f"{flow}/execution", {"provider": "deny-access-authenticator"}, "drift")
    with pytest.raises(ProvisionError, match="changed by hand"):
        again(site)
    extra = [s for s in admin.get(flow) if s.get("providerId") == "deny-access-authenticator"]
    admin.write("delete", f"/authentication/executions/{extra[0]['id']}", {}, "undone")
    assert again(site) == []

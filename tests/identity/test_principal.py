from dataclasses import replace

import pytest

from appliance.identity.principal import (
    ELEVATED_SECONDS,
    LEEWAY,
    ForbiddenError,
    KeyTerms,
    Principal,
    RoleConflictError,
    Scope,
    SecondFactorError,
    StepUpError,
    TeamChoiceError,
    check_elevated,
    check_roles,
    check_scope,
    check_second_factor,
)

CALLER = Principal(
    subject="s",
    name="camille",
    roles=frozenset({"utilisateur"}),
    scopes=frozenset({Scope.CHAT}),
    groups=("/equipes/accueil", "/pilotage"),
    clearance=2,
    acr=2,
    signed_in=1000.0,
)


@pytest.mark.parametrize("held", Scope)
def test_a_scope_opens_itself_only(held: Scope) -> None:
    caller = replace(CALLER, scopes=frozenset({held}))
    check_scope(caller, held)
    for wanted in set(Scope) - {held}:
        with pytest.raises(ForbiddenError, match=wanted.value):
            check_scope(caller, wanted)


@pytest.mark.parametrize("role", ["exploitant", "rssi", "administrateur"])
def test_no_role_both_acts_and_audits(role: str) -> None:
    with pytest.raises(RoleConflictError, match=role):
        check_roles(frozenset({"auditeur", role, "utilisateur"}))
    check_roles(frozenset({role, "utilisateur"}))
    check_roles(frozenset({"auditeur", "utilisateur"}))


@pytest.mark.parametrize("role", ["auditeur", "rssi", "administrateur"])
def test_a_role_with_a_second_factor_needs_one(role: str) -> None:
    for amr in (set[str](), {"pwd"}, {"mfa"}):
        with pytest.raises(SecondFactorError):
            check_second_factor(frozenset({role}), frozenset(amr))
    for factor in ("otp", "x509", "hwk"):
        check_second_factor(frozenset({role}), frozenset({"pwd", factor}))


@pytest.mark.parametrize(
    "role", ["utilisateur", "exploitant", "dpo", "autorite", "application"]
)
def test_the_other_roles_need_none(role: str) -> None:
    check_second_factor(frozenset({role}), frozenset({"pwd"}))


@pytest.mark.parametrize(
    ("acr", "age", "passes"),
    [
        pytest.param(2, 0, True, id="just now"),
        pytest.param(2, ELEVATED_SECONDS, True, id="at the end"),
        pytest.param(3, 10, True, id="certificate"),
        pytest.param(1, 0, False, id="password alone"),
        pytest.param(2, ELEVATED_SECONDS + 1, False, id="too long ago"),
        pytest.param(2, -LEEWAY, True, id="clock a little ahead"),
        pytest.param(2, -LEEWAY - 1, False, id="from the future"),
    ],
)
def test_a_sensitive_action_needs_a_fresh_code(acr: int, age: float, *, passes: bool) -> None:
    caller = replace(CALLER, acr=acr)
    if passes:
        check_elevated(caller, 1000 + age)
    else:
        with pytest.raises(StepUpError):
            check_elevated(caller, 1000 + age)


def test_a_key_reads_no_higher_than_its_label_nor_than_its_owner() -> None:
    assert CALLER.reads_up_to == 2
    for max_label, rank in ((0, 0), (1, 1), (2, 2), (9, 2)):
        key = KeyTerms("k", frozenset(), (), max_label)
        assert replace(CALLER, key=key).reads_up_to == rank


def test_a_service_is_budgeted_by_the_name_of_its_client() -> None:
    assert CALLER.account == "s"
    assert replace(CALLER, name="service-account-casemate-worker").account == "casemate-worker"


def test_a_team_is_chosen_by_who_has_several() -> None:
    assert CALLER.team() == "/equipes/accueil"
    assert replace(CALLER, groups=("/pilotage",)).team() == ""
    two = replace(CALLER, groups=("/equipes/a", "/equipes/b"))
    assert two.team("/equipes/b") == "/equipes/b"
    for wanted in ("", "/equipes/c"):
        with pytest.raises(TeamChoiceError, match="/equipes/a, /equipes/b"):
            two.team(wanted)

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm

from appliance.errors import FormatError
from appliance.identity.principal import LEEWAY, UnauthenticatedError
from appliance.identity.tokens import (
    LOGOUT_EVENT,
    LONGEST_TOKEN,
    Claims,
    UnknownKidError,
    Verifier,
    key_of,
    parse_keys,
)
from tests.identity import tokens
from tests.identity.tokens import AUDIENCE, ISSUER, Signer, base64url, compact

NOW = time.time()  # of every check here, however late it runs
NOW_INT = int(NOW)
VERIFIER = Verifier(ISSUER, AUDIENCE)


def claims(**changes: Any) -> dict[str, Any]:
    times = {"iat": NOW_INT, "exp": NOW_INT + 60, "auth_time": NOW_INT}
    return tokens.claims(**{**times, **changes})


def verify(token: str, signer: Signer, *, now: float = NOW) -> Claims:
    """Verify as a worker does: the key that the header names, out of the realm's set."""
    return VERIFIER.verify(token, key_of(token, parse_keys(signer.jwks())), now=now)


def test_a_token_of_the_realm_says_who_calls(signer: Signer) -> None:
    found = verify(signer.token(claims()), signer)
    assert (found.subject, found.name, found.session) == ("a-subject", "camille", "a-session")
    assert found.roles == {"utilisateur"}
    assert found.groups == ("/equipes/accueil",)
    assert (found.clearance, set(found.amr), found.acr) == (1, {"pwd"}, 1)


REFUSED = [
    pytest.param({"iss": "http://localhost:8080/auth/realms/casemate-admin"}, id="other realm"),
    pytest.param({"iss": "http://evil/auth/realms/casemate"}, id="other host"),
    pytest.param({"iss": None}, id="no issuer"),
    pytest.param({"aud": "account"}, id="other audience"),
    pytest.param({"aud": None}, id="no audience"),
    pytest.param({"aud": []}, id="empty audience"),
    pytest.param({"exp": NOW_INT - 1}, id="expired"),
    pytest.param({"exp": None}, id="no end"),
    pytest.param({"exp": True}, id="end is not a number"),
    pytest.param({"exp": float("nan")}, id="end that compares with nothing"),
    pytest.param({"exp": float("inf")}, id="no end in sight"),
    pytest.param({"iat": NOW_INT + LEEWAY + 2}, id="issued in the future"),
    pytest.param({"iat": None}, id="no issue time"),
    pytest.param({"nbf": NOW_INT + LEEWAY + 2}, id="not yet valid"),
    pytest.param({"typ": "ID"}, id="identity token"),
    pytest.param({"typ": "Refresh"}, id="refresh token"),
    pytest.param({"typ": "Logout"}, id="logout token"),
    pytest.param({"typ": None}, id="no type"),
    pytest.param({"sub": None}, id="nobody"),
]


@pytest.mark.parametrize("changes", REFUSED)
def test_a_token_with_a_wrong_claim_is_refused(signer: Signer, changes: dict[str, Any]) -> None:
    with pytest.raises(UnauthenticatedError):
        verify(signer.token(claims(**changes)), signer)


def test_a_token_ends_at_its_second_without_leeway(signer: Signer) -> None:
    token = signer.token(claims(exp=NOW_INT + 60))
    verify(token, signer, now=NOW_INT + 59.9)
    with pytest.raises(UnauthenticatedError):
        verify(token, signer, now=NOW_INT + 60)


def test_a_clock_of_the_realm_that_is_ten_seconds_ahead_does_not_refuse(signer: Signer) -> None:
    verify(signer.token(claims(iat=NOW_INT + LEEWAY, nbf=NOW_INT + LEEWAY)), signer)


def test_a_token_signed_by_someone_else_is_refused(signer: Signer, stranger: Signer) -> None:
    with pytest.raises(UnauthenticatedError):
        verify(stranger.token(claims()), signer)


def test_a_token_without_signature_is_refused(signer: Signer) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        body = compact({"alg": algorithm, "typ": "JWT", "kid": signer.kid}, claims())
        for signature in ("", base64url(b"x")):
            with pytest.raises(UnauthenticatedError):
                verify(f"{body}.{signature}", signer)


def test_the_public_key_as_a_secret_signs_nothing(signer: Signer) -> None:
    for token in signer.confused(claims()):
        with pytest.raises(UnauthenticatedError, match="algorithm"):
            verify(token, signer)


def test_another_rsa_algorithm_is_refused(signer: Signer) -> None:
    for algorithm in ("RS384", "RS512", "PS256"):
        token = jwt.encode(claims(), signer.private, algorithm, headers={"kid": signer.kid})
        with pytest.raises(UnauthenticatedError, match="algorithm"):
            verify(token, signer)


def test_a_key_in_the_header_is_not_used(signer: Signer, stranger: Signer) -> None:
    headers: list[dict[str, Any]] = [
        {"jwk": stranger.jwk()},
        {"jku": "http://evil/keys"},
        {"x5u": "http://evil/chain"},
    ]
    for header in headers:
        with pytest.raises(UnauthenticatedError):
            verify(stranger.token(claims(), **header), signer)


def test_a_critical_header_that_nobody_understands_is_refused(signer: Signer) -> None:
    with pytest.raises(UnauthenticatedError):
        verify(signer.token(claims(), crit=["b64"], b64=False), signer)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="nothing"),
        pytest.param("a.b", id="two parts"),
        pytest.param("a.b.c", id="not base64"),
        pytest.param("." * 10, id="dots"),
        pytest.param("e30.e30.e30", id="empty objects"),
        pytest.param("W10.W10.W10", id="lists"),
    ],
)
def test_what_is_no_token_is_refused(signer: Signer, token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        verify(token, signer)


def test_a_token_that_is_too_long_is_not_read(signer: Signer) -> None:
    with pytest.raises(UnauthenticatedError, match="too long"):
        verify(signer.token(claims(roles=["x" * LONGEST_TOKEN])), signer)


def test_a_token_whose_text_was_changed_is_refused(signer: Signer) -> None:
    head, body, signature = signer.token(claims()).split(".")
    forged = compact({"alg": "RS256", "kid": signer.kid}, claims(roles=["rssi"]))
    for token in (
        f"{head}.{forged.split('.')[1]}.{signature}",
        f"{forged}.{signature}",
        f"{head}.{body}.{signature[:-8]}",
    ):
        with pytest.raises(UnauthenticatedError):
            verify(token, signer)


def test_an_unknown_key_is_told_apart(signer: Signer) -> None:
    with pytest.raises(UnknownKidError):
        key_of(signer.token(kid="another"), parse_keys(signer.jwks()))


@pytest.mark.parametrize(
    ("clearance", "rank"),
    [
        pytest.param(None, 0, id="absent"),
        pytest.param([], 0, id="empty"),
        pytest.param([0, 3, 1], 3, id="highest"),
        pytest.param(2, 2, id="one"),
        pytest.param(["3"], 0, id="text"),
        pytest.param([True], 0, id="boolean"),
        pytest.param([10, 2], 2, id="above the scale"),
        pytest.param([-1], 0, id="negative"),
        pytest.param({"a": 3}, 0, id="object"),
    ],
)
def test_clearance_is_the_highest_rank_or_none(
    signer: Signer, clearance: object, rank: int
) -> None:
    assert verify(signer.token(claims(clearance=clearance)), signer).clearance == rank


def test_claims_in_disorder_give_no_right(signer: Signer) -> None:
    payload = claims(roles="rssi", groups={"/pilotage": 1}, amr="otp", acr="Infinity")
    found = verify(signer.token(payload), signer)
    assert (*found.roles, *found.groups, *found.amr, found.acr) == (0,)
    assert verify(signer.token(claims(auth_time="yesterday")), signer).signed_in == 0


def test_a_key_set_gives_its_rs256_keys_only(signer: Signer) -> None:
    other = [
        signer.jwk(kid="enc", use="enc"),
        signer.jwk(kid="ps", alg="PS256"),
        {"kty": "EC", "kid": "ec", "crv": "P-256"},
        {"kty": "oct", "kid": "secret", "k": "AAAA"},
    ]
    assert set(parse_keys({"keys": [signer.jwk(), *other]})) == {signer.kid}


def test_a_short_key_is_refused() -> None:
    short = Signer(rsa.generate_private_key(65537, 1024), "short")  # noqa: S505 - the attack
    with pytest.raises(FormatError, match="short"):
        parse_keys(short.jwks())


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(None, id="nothing"),
        pytest.param([], id="list"),
        pytest.param({}, id="no keys"),
        pytest.param({"keys": 1}, id="keys are a number"),
        pytest.param({"keys": ["x"]}, id="a key is text"),
        pytest.param({"keys": [{"kty": "RSA", "alg": "RS256"}]}, id="no kid"),
        pytest.param(
            {"keys": [{"kty": "RSA", "kid": "a", "n": "!", "e": "AQAB"}]}, id="garbage"
        ),
    ],
)
def test_what_is_no_key_set_is_refused(document: object) -> None:
    with pytest.raises(FormatError):
        parse_keys(document)


def logout(**changes: Any) -> dict[str, Any]:
    made = claims(aud="casemate-console", typ="Logout", jti="j", events={LOGOUT_EVENT: {}})
    return {key: value for key, value in {**made, **changes}.items() if value is not None}


def test_a_logout_token_names_session_and_subject(signer: Signer) -> None:
    verifier = Verifier(ISSUER, "casemate-console")
    key = key_of(signer.token(typ="logout+jwt"), parse_keys(signer.jwks()))
    token = signer.token(logout())
    assert verifier.verify_logout(token, key, now=NOW) == ("a-session", "a-subject")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"events": {}}, id="no event"),
        pytest.param({"events": None}, id="events absent"),
        pytest.param({"events": LOGOUT_EVENT}, id="event as text"),
        pytest.param({"nonce": "n"}, id="an identity token"),
        pytest.param({"sid": None, "sub": None}, id="nobody"),
        pytest.param({"aud": AUDIENCE}, id="for another party"),
        pytest.param({"exp": NOW_INT - 1}, id="expired"),
        pytest.param({"jti": None}, id="no id"),
    ],
)
def test_a_wrong_logout_token_is_refused(signer: Signer, changes: dict[str, Any]) -> None:
    with pytest.raises(UnauthenticatedError):
        Verifier(ISSUER, "casemate-console").verify_logout(
            signer.token(logout(**changes)), signer.private.public_key(), now=NOW
        )


def test_an_access_token_is_no_logout_token(signer: Signer) -> None:
    with pytest.raises(UnauthenticatedError, match="type"):
        key_of(signer.token(claims()), parse_keys(signer.jwks()), header_type="logout+jwt")


def test_an_elliptic_key_is_no_key_of_ours() -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert (
        parse_keys({"keys": [{**ECAlgorithm.to_jwk(public, as_dict=True), "kid": "ec"}]}) == {}
    )

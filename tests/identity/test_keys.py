import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from appliance.errors import FormatError
from appliance.identity.keys import (
    GRANTABLE,
    LONGEST_LIFE,
    ApplicationKey,
    Grant,
    Owner,
    Terms,
    TermsError,
    admit,
    check_issue,
    check_network,
)
from appliance.identity.principal import (
    ForbiddenError,
    KeyTerms,
    Principal,
    Scope,
    UnauthenticatedError,
)

KEY = ApplicationKey(bytes(range(16)))
TEXT = "cm_aaaqeayeaudaocajbifqydiob4jyhi"
SITE = b"site secret, 32 bytes or longer."
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def test_parse_is_the_inverse_of_text() -> None:
    assert KEY.text() == TEXT
    assert ApplicationKey.parse(TEXT) == KEY


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("cm_", id="prefix alone"),
        pytest.param(TEXT[3:], id="no prefix"),
        pytest.param("CM" + TEXT[2:], id="prefix in capitals"),
        pytest.param(TEXT.upper(), id="capitals"),
        pytest.param(TEXT[:-1], id="one character short"),
        pytest.param(TEXT + "a", id="one character long"),
        pytest.param(TEXT + "\n", id="final newline"),
        pytest.param(" " + TEXT, id="space before"),
        pytest.param(TEXT[:-4] + "aaaa", id="wrong checksum"),
        pytest.param(TEXT.replace("4", "1"), id="character outside base32"),
        pytest.param(TEXT.replace("b", "ß", 1), id="letter whose capital is two letters"),
        pytest.param("cm_" + "=" * 30, id="padding"),
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(FormatError):
        ApplicationKey.parse(text)


def test_parse_refuses_bits_that_the_secret_does_not_use() -> None:
    twin = TEXT[:28] + ALPHABET[ALPHABET.index(TEXT[28]) + 1]
    assert base64.b32decode(twin[3:].upper() + "======") == KEY.secret
    with pytest.raises(FormatError):
        ApplicationKey.parse(twin + TEXT[29:])


def test_each_mistyped_character_and_each_swap_is_noticed() -> None:
    mistyped = {TEXT[:i] + c + TEXT[i + 1 :] for i in range(3, len(TEXT)) for c in ALPHABET}
    swapped = {
        TEXT[:i] + TEXT[i + 1] + TEXT[i] + TEXT[i + 2 :] for i in range(3, len(TEXT) - 1)
    }
    for text in (mistyped | swapped) - {TEXT}:
        with pytest.raises(FormatError):
            ApplicationKey.parse(text)


def test_the_secret_is_in_neither_repr_nor_message() -> None:
    assert repr(KEY) == "ApplicationKey()"
    with pytest.raises(FormatError) as caught:
        ApplicationKey.parse(TEXT[:-1])
    assert TEXT[3:10] not in str(caught.value)


def test_digest_depends_on_key_and_site() -> None:
    other = ApplicationKey(bytes(16))
    digests = {KEY.digest(SITE), KEY.digest(SITE + b"'"), other.digest(SITE)}
    assert len(digests) == 3
    assert {len(digest) for digest in digests} == {32}


TERMS = Terms(
    owner="alice",
    name="notebook",
    scopes=frozenset({Scope.CHAT, Scope.EMBED}),
    expires_at=NOW + SECOND,
    models=frozenset({"extraits"}),
    collections=("procedures",),
    networks=("10.0.0.0/8", "fd00::/8"),
    max_label=1,
)
GRANT = Grant("an-id", TERMS, KEY.digest(SITE), None)
OWNER = Owner(
    name="alice",
    roles=frozenset({"utilisateur"}),
    scopes=frozenset({Scope.CHAT, Scope.KEYS_OWN}),
    groups=("/equipes/accueil",),
    clearance=2,
    enabled=True,
)


def test_a_key_gives_what_it_says_and_its_owner_still_has() -> None:
    caller = admit(KEY.digest(SITE), GRANT, OWNER, now=NOW)
    assert caller.scopes == {Scope.CHAT}  # embed: the owner has it no more
    assert (caller.subject, caller.groups) == ("alice", ("/equipes/accueil",))
    assert (caller.clearance, caller.reads_up_to) == (2, 1)
    assert caller.until == TERMS.expires_at.timestamp()
    assert caller.key == KeyTerms(
        "an-id", frozenset({"extraits"}), ("procedures",), 1, ("10.0.0.0/8", "fd00::/8")
    )


def test_a_key_manages_nothing_even_if_its_row_says_so() -> None:
    everything = frozenset(Scope)
    grant = replace(GRANT, terms=replace(TERMS, scopes=everything))
    caller = admit(KEY.digest(SITE), grant, replace(OWNER, scopes=everything), now=NOW)
    assert caller.scopes == GRANTABLE


@pytest.mark.parametrize(
    ("presented", "grant", "owner"),
    [
        pytest.param(bytes(32), GRANT, OWNER, id="another key"),
        pytest.param(
            GRANT.digest,
            replace(GRANT, terms=replace(TERMS, expires_at=NOW)),
            OWNER,
            id="expires at this instant",
        ),
        pytest.param(
            GRANT.digest,
            replace(GRANT, terms=replace(TERMS, expires_at=NOW - SECOND)),
            OWNER,
            id="expired",
        ),
        pytest.param(GRANT.digest, replace(GRANT, revoked_at=NOW), OWNER, id="revoked"),
        pytest.param(
            GRANT.digest,
            replace(GRANT, revoked_at=NOW + SECOND),
            OWNER,
            id="revoked by a faster clock",
        ),
        pytest.param(GRANT.digest, GRANT, replace(OWNER, enabled=False), id="owner disabled"),
    ],
)
def test_admit_refuses_with_one_message(presented: bytes, grant: Grant, owner: Owner) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^no valid credential$"):
        admit(presented, grant, owner, now=NOW)


ISSUER = Principal(
    subject="alice",
    name="alice",
    roles=frozenset({"utilisateur"}),
    scopes=frozenset({Scope.CHAT, Scope.EMBED, Scope.KEYS_OWN, Scope.DOCUMENTS_WRITE}),
    groups=(),
    clearance=1,
)


def test_a_key_may_be_issued_up_to_the_longest_life() -> None:
    check_issue(ISSUER, TERMS, now=NOW)
    check_issue(ISSUER, replace(TERMS, expires_at=NOW + LONGEST_LIFE), now=NOW)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"owner": "bob"}, ForbiddenError, id="other owner"),
        pytest.param(
            {"scopes": frozenset({Scope.SEARCH})}, ForbiddenError, id="not the issuer's"
        ),
        pytest.param({"scopes": frozenset({Scope.KEYS_OWN})}, ForbiddenError, id="keys"),
        pytest.param(
            {"scopes": frozenset({Scope.DOCUMENTS_WRITE})}, ForbiddenError, id="writing"
        ),
        pytest.param({"max_label": 2}, ForbiddenError, id="label above the issuer's"),
        pytest.param({"expires_at": NOW}, TermsError, id="no life"),
        pytest.param({"expires_at": NOW + LONGEST_LIFE + SECOND}, TermsError, id="too long"),
        pytest.param({"networks": ("10.0.0.0/33",)}, TermsError, id="no network"),
        pytest.param({"networks": ("10.0.0.1/8",)}, TermsError, id="host bits"),
        pytest.param({"networks": ("",)}, TermsError, id="empty network"),
    ],
)
def test_a_key_may_not_be_issued(changes: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        check_issue(ISSUER, replace(TERMS, **changes), now=NOW)  # type: ignore[arg-type]


def test_a_key_issues_no_key() -> None:
    held = replace(ISSUER, key=KeyTerms("k", frozenset(), (), 0))
    with pytest.raises(ForbiddenError):
        check_issue(held, TERMS, now=NOW)


@pytest.mark.parametrize(
    ("address", "passes"),
    [
        pytest.param("10.1.2.3", True, id="inside"),
        pytest.param("fd00::1", True, id="inside, IPv6"),
        pytest.param("11.0.0.1", False, id="outside"),
        pytest.param("fe80::1", False, id="outside, IPv6"),
        pytest.param("::ffff:10.1.2.3", False, id="IPv4 in IPv6"),
        pytest.param("", False, id="unknown"),
        pytest.param("10.1.2.3, 11.0.0.1", False, id="a list"),
    ],
)
def test_a_key_is_bound_to_its_networks(address: str, *, passes: bool) -> None:
    terms = KeyTerms("k", frozenset(), (), 0, ("10.0.0.0/8", "fd00::/8"))
    check_network(KeyTerms("k", frozenset(), (), 0), address)
    if passes:
        check_network(terms, address)
    else:
        with pytest.raises(UnauthenticatedError):
            check_network(terms, address)

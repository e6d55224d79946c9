import base64
from urllib.parse import parse_qs, urlsplit

import pytest
from pyotp.hotp import HOTP
from pyotp.totp import TOTP

from appliance.errors import FormatError
from appliance.site.rack.oath import (
    LIST,
    MOMENT,
    PAPER,
    STEP,
    address,
    code,
    codes,
    grouped,
    logins,
    proves,
    with_person,
    without,
)

RFC = b"12345678901234567890"  # RFC 4226, appendix D
OTHER = b"abcdefghijklmnopqrst"
NOW = 1_700_000_000.0


def test_codes_are_those_of_the_rfc() -> None:
    found = [code(RFC, counter) for counter in range(4)]
    assert found == ["755224", "287082", "359152", "969429"]


def test_a_second_implementation_makes_the_same_codes() -> None:
    key = base64.b32encode(OTHER).decode()
    assert codes(OTHER) == [HOTP(key).at(counter) for counter in range(PAPER)]
    assert proves(OTHER, TOTP(key).at(int(NOW)), NOW)


@pytest.mark.parametrize(("away", "held"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_code_of_another_moment_proves_nothing(away: int, held: bool) -> None:  # noqa: FBT001
    typed = code(RFC, int(NOW) // STEP + away)
    assert proves(RFC, typed, NOW) is held


@pytest.mark.parametrize("typed", ["", "000000", "é", "75522"])
def test_what_is_no_code_proves_nothing(typed: str) -> None:
    assert not proves(RFC, typed, NOW)


def test_the_address_gives_a_telephone_the_secret_and_the_name_of_the_site() -> None:
    found = urlsplit(address(RFC, "anne", "Préfecture de X"))
    assert (found.scheme, found.netloc) == ("otpauth", "totp")
    asked = parse_qs(found.query)
    assert base64.b32decode(asked["secret"][0]) == RFC
    assert asked["issuer"] == ["Préfecture de X"]
    assert grouped(RFC).replace(" ", "") == asked["secret"][0]


def test_a_person_has_one_line_and_a_new_one_replaces_it() -> None:
    text = with_person("", "anne", MOMENT, RFC)
    text = with_person(text, "boris", LIST, OTHER)
    text = with_person(text, "anne", MOMENT, OTHER)
    assert logins(text) == ["boris", "anne"]
    assert text.endswith(f"HOTP/T30/6 anne - {OTHER.hex()}\n")


def test_what_pam_has_seen_stays_behind_the_lines_of_the_others() -> None:
    seen = f"HOTP/E/6 boris - {RFC.hex()} 7 359152 2026-11-23T13:00:00L\n"
    assert seen in with_person(f"# note\n{seen}", "anne", MOMENT, OTHER)
    assert without(seen, ["anne"]) == seen
    assert without(seen, ["boris"]) == ""


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("HOTP/T30/6 anne 1234 " + "a" * 40, id="a fixed word before the code"),
        pytest.param("HOTP/T30/6 anne - " + "a" * 10, id="short secret"),
        pytest.param("HOTP/T30 anne - " + "a" * 40, id="other kind"),
        pytest.param("anne", id="no line"),
    ],
)
def test_a_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(FormatError):
        logins(line)

import pytest
from pyotp.totp import TOTP

from appliance.errors import FormatError
from appliance.site.account import (
    Account,
    UnknownAccountError,
    find,
    one_time_code,
    parse,
    write,
)

OTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
RSSI = Account("rssi", "sacha", "casemate", "p", OTP)
OTHER = Account("rssi", "andrea", "casemate", "p", OTP)
USER = Account("utilisateur", "camille", "casemate", "p")


def test_accounts_are_read_back() -> None:
    assert parse(write([RSSI, USER])) == [RSSI, USER]


@pytest.mark.parametrize("text", [b"", b"{}", b'[{"role":"x"}]', write([USER])[:-3]])
def test_what_is_no_accounts_file_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        parse(text)


def test_an_account_is_found_by_name_else_by_role() -> None:
    accounts = [USER, RSSI, OTHER]
    assert find(accounts, "andrea") == OTHER
    assert find(accounts, "rssi") == RSSI
    with pytest.raises(UnknownAccountError):
        find(accounts, "root")


@pytest.mark.parametrize("now", [0, 29, 30, 59, 1_795_420_800, 20_000_000_000])
def test_the_code_is_that_of_a_second_implementation(now: int) -> None:
    code, seconds = one_time_code(RSSI, now)
    assert code == TOTP(OTP).at(now)
    assert seconds == 30 - now % 30


def test_who_has_no_second_factor_has_no_code() -> None:
    with pytest.raises(UnknownAccountError, match="without a code"):
        one_time_code(USER, 0)

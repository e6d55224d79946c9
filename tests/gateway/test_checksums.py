"""Checksums against numbers that were published as examples, and every change of one digit."""

import pytest

from appliance.gateway.checksums import (
    IBAN_LENGTHS,
    is_card,
    is_iban,
    is_nir,
    is_siren,
    is_siret,
    luhn,
)

IBANS = [
    "FR7630006000011234567890189",
    "DE89370400440532013000",
    "GB29NWBK60161331926819",
    "BE68539007547034",
    "CH9300762011623852957",
    "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S",
    "LC55HEMM000100010012001200023015",
    "SA0380000000608010167519",
    "BR9700360305000010009795493P1",
]
CARDS = [
    "4111111111111111",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "4222222222222",
    "6200000000000005",
]


@pytest.mark.parametrize("number", IBANS)
def test_an_iban_is_one_and_no_digit_of_it_may_change(number: str) -> None:
    assert is_iban(number)
    for i in range(2, len(number)):
        if number[i].isdigit():
            assert not is_iban(number[:i] + str((int(number[i]) + 1) % 10) + number[i + 1 :])


def test_an_iban_of_the_wrong_length_or_country_is_none() -> None:
    number = IBANS[0]
    for wrong in (
        number[:-1],
        number + "0",
        "XX" + number[2:],
        "",
        "FR",
        "FR76-000600001123456789018",
    ):
        assert not is_iban(wrong)
    assert all(15 <= size <= 33 for size in IBAN_LENGTHS.values())


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        ("185057800608491", True),
        ("255081416802538", True),
        ("185057800608492", False),
        ("185137800608491", False),
        ("1851378006084", False),
        ("18505780060849A", False),
    ],
    ids=["man", "woman", "key", "month", "short", "letter"],
)
def test_a_social_security_number(number: str, valid: bool) -> None:  # noqa: FBT001
    assert is_nir(number) is valid


@pytest.mark.parametrize(("county", "stands_for"), [("2A", "19"), ("2B", "18")])
def test_corsica_counts_as_the_departments_that_it_was_split_into(
    county: str, stands_for: str
) -> None:
    key = 97 - int(f"15506{stands_for}033001") % 97
    assert is_nir(f"15506{county}033001{key:02}")
    assert not is_nir(f"15506{county}033001{(key + 1) % 97:02}")
    assert not is_nir(f"1550{county}6033001{key:02}")


@pytest.mark.parametrize("number", CARDS)
def test_a_card_is_one_and_no_digit_of_it_may_change(number: str) -> None:
    assert is_card(number)
    for i, digit in enumerate(number):
        assert not is_card(number[:i] + str((int(digit) + 1) % 10) + number[i + 1 :])


@pytest.mark.parametrize(
    "number", ["41111111111111110"[:14], "9111111111111113", "0000000000000000"]
)
def test_a_sum_alone_makes_no_card(number: str) -> None:
    assert not is_card(number)
    assert luhn("0000000000000000")


def test_companies_and_their_sites() -> None:
    assert is_siren("732829320")
    assert is_siret("73282932000074")
    assert not is_siren("732829321")
    assert not is_siret("73282932000075")
    assert not is_siren("000000000")
    assert not is_siret("73282932100074"), "the company's own number is wrong"


def test_the_sites_of_the_post_office_count_otherwise() -> None:
    assert is_siret("35600000000048"), "its seat follows Luhn"
    assert is_siret("35600000049837"), "a site: the digits sum to a multiple of five"
    assert not luhn("35600000049837")
    assert not is_siret("35600000049838")

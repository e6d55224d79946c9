"""Checksums of identifiers: they tell a number from a number that looks like one.

All functions take ASCII without separators, in upper case.
"""

# Length of an IBAN by country: registry of SWIFT, and the countries whose banks use the form.
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AO": 25, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BF": 28,
    "BG": 22, "BH": 22, "BI": 27, "BJ": 28, "BR": 29, "BY": 28, "CF": 27, "CG": 27, "CH": 21,
    "CI": 28, "CM": 27, "CR": 22, "CV": 25, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18,
    "DO": 28, "DZ": 26, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27,
    "GA": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GQ": 27, "GR": 27, "GT": 28, "GW": 25,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IR": 26, "IS": 26, "IT": 27,
    "JO": 30, "KM": 27, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "LY": 25, "MA": 28, "MC": 27, "MD": 24, "ME": 22, "MG": 27, "MK": 19, "ML": 28,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "MZ": 25, "NE": 28, "NI": 28, "NL": 18, "NO": 15,
    "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33,
    "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SN": 28, "SO": 23,
    "ST": 25, "SV": 28, "TD": 27, "TG": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22,
    "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
_NIR, _SIREN, _SIRET = 15, 9, 14  # lengths
_POST_OFFICE = "356000000"  # La Poste: its many sites outgrew Luhn
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_NIR_MONTHS = {*range(1, 13), *range(20, 43), *range(50, 100)}  # from 20 on: month unknown
_CARDS = (  # first digits, from and to, and the lengths that the network gives
    (4, 4, {13, 16, 19}),
    (51, 55, {16}),
    (2221, 2720, {16}),
    (34, 34, {15}),
    (37, 37, {15}),
    (3528, 3589, {16, 17, 18, 19}),
    (6011, 6011, {16, 17, 18, 19}),
    (644, 659, {16, 17, 18, 19}),
    (62, 62, {16, 17, 18, 19}),
    (50, 50, {16, 17, 18, 19}),
    (56, 58, {16, 17, 18, 19}),
    (639, 639, {16, 17, 18, 19}),
    (67, 67, {16, 17, 18, 19}),
)


def luhn(digits: str) -> bool:
    """Whether the last digit is that of Luhn's sum."""
    total = sum(map(int, digits[-1::-2])) + sum(_DOUBLED[int(d)] for d in digits[-2::-2])
    return total % 10 == 0


def is_nir(number: str) -> bool:
    """Whether 15 characters are a social security number: month, Corsica, key modulo 97."""
    county = {"2A": "19", "2B": "18"}.get(number[5:7], number[5:7])
    body = number[:5] + county + number[7:13]
    if len(number) != _NIR or not (body + number[13:]).isdigit():
        return False
    return int(number[3:5]) in _NIR_MONTHS and 97 - int(body) % 97 == int(number[13:])


def is_iban(number: str) -> bool:
    """Whether it has the length of its country and is 1 modulo 97."""
    if IBAN_LENGTHS.get(number[:2]) != len(number) or not number.isalnum():
        return False
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1


def is_siren(number: str) -> bool:
    """Whether 9 digits number a company."""
    return len(number) == _SIREN and number[0] != "0" and luhn(number)


def is_siret(number: str) -> bool:
    """Whether 14 digits number a site of a company."""
    if len(number) != _SIRET or not is_siren(number[:_SIREN]):
        return False
    if number.startswith(_POST_OFFICE) and sum(map(int, number)) % 5 == 0:
        return True
    return luhn(number)


def is_card(number: str) -> bool:
    """Whether it is a payment card of a known network."""
    return luhn(number) and any(
        first <= int(number[: len(str(first))]) <= last and len(number) in lengths
        for first, last, lengths in _CARDS
    )

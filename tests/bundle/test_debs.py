import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.bundle import debs
from appliance.bundle.debs import (
    Deb,
    describe,
    fields,
    members,
    names_of,
    read_lock,
    write_lock,
)
from appliance.errors import FormatError
from tests.bundle.payloads import PACKED, Package, ar, tar

SITE = Path(__file__).parents[2] / "offline-wheels" / "site"
ONE, TWO = Package("one", "2:1.0-1", "two"), Package("two")


def test_a_lock_comes_back_from_its_text_sorted_by_name() -> None:
    assert read_lock(write_lock([TWO.lock, ONE.lock])) == [ONE.lock, TWO.lock]


def test_the_lock_of_the_repository_has_each_package_that_is_asked_for_and_no_other_twice() -> (
    None
):
    found = read_lock((SITE / "debs.lock").read_text())
    names = [deb.name for deb in found]
    assert set(names_of((SITE / "debs.in").read_text())) <= set(names)
    assert len(names) == len(set(names)) > 100
    assert len({deb.file for deb in found}) == len(found)
    assert "://" not in (SITE / "debs.lock").read_text()


def test_a_list_of_packages_has_comments() -> None:
    assert names_of("# all\none  # why\n\n two\n") == ["one", "two"]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ONE.lock, file="../one_1_amd64.deb"), replace(ONE.lock, file="one_1_arm64.deb"),
        replace(ONE.lock, file="one.deb"), replace(ONE.lock, sha256="a" * 63),
        replace(ONE.lock, sha256="../x"), replace(ONE.lock, size=0),
    ],
    ids=["climbing", "another machine", "no version", "short hash", "no hash", "no size"],
)  # fmt: skip
def test_a_wrong_name_size_or_hash_is_refused(wrong: Deb) -> None:
    with pytest.raises(FormatError):
        read_lock(write_lock([wrong]))


@pytest.mark.parametrize(
    "text", ["", "[[deb]]\nname = 'x'\n", "deb = 3", "[[deb]\n"],
    ids=["empty", "half", "a number", "no TOML"],
)  # fmt: skip
def test_what_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match=r"debs\.lock"):
        read_lock(text)


@pytest.mark.parametrize("packed", PACKED)
def test_a_package_says_its_name_and_licence_however_it_is_packed(packed: str) -> None:
    said = describe(replace(ONE, packed=packed).data)
    assert said.control == ONE.control.strip()
    assert (said.fields["Package"], said.fields["Depends"]) == ("one", "two")
    assert said.licence == "MIT"


def test_a_licence_that_is_not_for_machines_is_not_guessed() -> None:
    assert describe(replace(ONE, copyright_file="This is free software.\n").data).licence == ""


def test_each_licence_of_a_package_is_listed_once() -> None:
    text = (
        "Format: x\n\nFiles: *\nLicense: MIT\n\nFiles: a\nLicense: BSD-2\n\nLicense: MIT\n T.\n"
    )
    assert debs.licences_of(text) == "BSD-2, MIT"


def test_a_field_of_several_lines_is_one_field() -> None:
    assert fields("A: 1\nB: 2\n  3\nC-D:4\n") == {"A": "1", "B": "2\n  3", "C-D": "4"}


CONTROL = tar({"./control": ONE.control})


@pytest.mark.parametrize(
    "data",
    [
        b"", b"MZ", ONE.data[:70], ar({"debian-binary": b"2.0\n"}),
        ar({"control.tar.xz": b"no xz", "data.tar": tar({})}),
        ar({"control.tar.gz": b"no gzip", "data.tar": tar({})}),
        ar({"control.tar": b"no tar" * 200, "data.tar": tar({})}),
        ar({"control.tar": tar({"./other": "x"}), "data.tar": tar({})}),
        ar({"control.tar.zst": b"x", "data.tar": tar({})}), ar({"control.tar": CONTROL}),
    ],
    ids=["nothing", "another file", "cut short", "no control", "bad xz", "bad gzip", "bad tar",
         "no control file", "unknown packing", "no data"],
)  # fmt: skip
def test_what_is_no_package_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="Debian package"):
        describe(data)


def test_a_member_whose_size_is_no_number_is_refused() -> None:
    data = bytearray(ONE.data)
    data[8 + 48 : 8 + 58] = b"x" * 10
    with pytest.raises(FormatError, match="damaged"):
        members(bytes(data))


def test_an_index_says_where_each_package_is_and_what_it_hashes_to() -> None:
    text = debs.packages([(p.lock, describe(p.data)) for p in (TWO, ONE)])
    first, second = (fields(stanza) for stanza in text.split("\n\n"))
    assert (first["Package"], second["Package"]) == ("one", "two")
    assert first["Filename"] == "./one_1.0-1_amd64.deb"
    assert int(first["Size"]) == len(ONE.data)
    assert first["SHA256"] == hashlib.sha256(ONE.data).hexdigest()


def test_a_release_names_its_index_by_hash_and_never_expires() -> None:
    text = debs.release("index\n", "1.4.0", 1_795_000_000)
    found = fields(text)
    assert found["SHA256"].split() == [hashlib.sha256(b"index\n").hexdigest(), "6", "Packages"]
    assert found["Date"] == "Wed, 18 Nov 2026 11:06:40 UTC"
    assert "Valid-Until" not in found
    assert text == debs.release("index\n", "1.4.0", 1_795_000_000)

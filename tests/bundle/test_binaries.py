from dataclasses import replace
from pathlib import Path

import pytest

from appliance.bundle.binaries import Binary, read_lock, write_lock
from appliance.errors import FormatError

LOCK = Path(__file__).parents[2] / "offline-wheels" / "binaries.lock"
ONE = Binary("keycloak", "26.0", "org.example:keycloak:26.0:tar.gz", "k.tar.gz", 7, "a" * 64)
TWO = Binary("gpu-driver", "580.1", "", "gpu-driver/deep/d.run", 9, "b" * 64, "NVIDIA")


def test_a_lock_comes_back_from_its_text_sorted_by_file() -> None:
    assert read_lock(write_lock([ONE, TWO])) == [TWO, ONE]


def test_the_lock_of_the_repository_names_keycloak_and_no_address() -> None:
    (found,) = read_lock(LOCK.read_text())
    assert (found.name, found.licence) == ("keycloak", "Apache-2.0")
    assert found.artifact.split(":")[2] == found.version
    assert "://" not in LOCK.read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ONE, file="../k.tar.gz"), replace(ONE, file="/k.tar.gz"),
        replace(ONE, file="a//b"), replace(ONE, file=".hidden"), replace(ONE, file="a/.."),
        replace(ONE, file="a" + "/a" * 6), replace(ONE, file=""),
        replace(ONE, sha256="a" * 63), replace(ONE, sha256="A" * 64),
        replace(ONE, sha256="../../x"), replace(ONE, size=-1),
    ],
    ids=["climbing", "absolute", "empty name", "hidden", "climbing below", "deep", "no name",
         "short hash", "upper case", "hash that climbs", "negative size"],
)  # fmt: skip
def test_a_wrong_name_size_or_hash_is_refused(wrong: Binary) -> None:
    with pytest.raises(FormatError):
        read_lock(write_lock([wrong]))


@pytest.mark.parametrize(
    "text",
    ["", "binary = 3", "[[binary]]\nname = 'x'\n", "[[binary]\n", "[[program]]\nname = 'x'\n",
     write_lock([ONE]).replace("size = 7", 'size = "7"'),
     write_lock([ONE]) + 'url = "https://example.org"\n'],
    ids=["empty", "a number", "half", "no TOML", "another list", "size quoted", "one more"],
)  # fmt: skip
def test_what_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        read_lock(text)

"""What stands beside the log in an export."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from appliance.audit.checkpoint import empty
from appliance.audit.contents import (
    ALL,
    SUMS,
    Order,
    Tally,
    choose,
    digest,
    files,
    folder_name,
    sums,
    word_of,
)
from appliance.audit.event import Leaf
from appliance.audit.exported import verifier
from appliance.audit.keyring import Keyring
from appliance.audit.policy import Policy
from tests.audit import logs
from tests.audit.logs import ORIGIN, SIGNER

HEAD = empty(ORIGIN)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Diffusion Restreinte", "diffusion-restreinte"),
        ("Mairie d’Éton / SI", "mairie-deton-si"),
        ("../../etc", "etc"),
        ("-rf", "rf"),
        ("\u0000\n", "sans-nom"),
        ("機密", "sans-nom"),
        ("x" * 99, "x" * 60),
    ],
)
def test_a_word_of_a_file_name_is_plain(text: str, word: str) -> None:
    assert word_of(text) == word


def test_the_name_says_site_range_and_label() -> None:
    assert folder_name(Order(5, 9), ORIGIN) == "export-audit.example-demo-5-9"
    named = Order(5, 9, label="Usage interne", site="Lyon 2")
    assert folder_name(named, ORIGIN) == "export-lyon-2-5-9-usage-interne"


def test_anchors_are_chosen_evenly_and_the_last_one_always() -> None:
    assert choose([], 4) == []
    assert choose([3, 7], 4) == [3, 7]
    assert choose(list(range(100)), 4) == [0, 33, 66, 99]
    assert len(choose(list(range(10_000)), 64)) == 64
    assert choose(list(range(10_000)), 64)[-1] == 9_999


def test_a_tally_counts_and_travels() -> None:
    tally = Tally()
    for index in (3, 1, 2):
        tally.add(Leaf.parse(logs.leaf(index, logs.intent(index))))
    assert tally.types == {"casemate.llm.request.v1": 3}
    assert (tally.earliest, tally.latest) == (logs.START + 20_000, logs.START + 60_000)
    assert Tally.of(json.loads(json.dumps(tally.described()))) == tally


def test_the_small_files_say_what_is_there_and_give_no_trust() -> None:
    made = files(
        Order(5, 9, label="Usage interne", made=10**15),
        HEAD,
        Keyring.of(SIGNER.verifiers),
        Tally(),
    )
    said = json.loads(made["export.json"])
    assert (said["v"], said["from"], said["to"], said["label"]) == (1, 5, 9, "Usage interne")
    assert said["formats"] == sorted(ALL)
    assert Policy.parse(made["keys/POLICY.example"].decode()).quorum == "none"
    assert Keyring.parse(made["keys/keyring.json"].decode()).origin == ORIGIN
    assert made["verify.py"].decode() == verifier()
    for name in ("LISEZMOI.txt", "README.txt"):
        text = made[name].decode()
        assert "Usage interne" in text
        assert f"{ORIGIN}" in text
        assert "@" not in text


def test_a_log_with_one_key_has_no_steps_for_a_second_one() -> None:
    for keys, count in ((SIGNER.verifiers, 3), (SIGNER.verifiers[:1], 0)):
        made = files(Order(5, 9), HEAD, Keyring.of(keys), Tally())
        for name in ("LISEZMOI.txt", "README.txt"):
            lines = made[name].decode().splitlines()
            assert len([line for line in lines if "p256" in line]) == count
            assert any("openssl pkeyutl" in line for line in lines)


def test_the_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "tile/0").mkdir(parents=True)
    (tmp_path / "tile/0/000").write_bytes(b"x" * (2 << 20))
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / SUMS).write_bytes(b"left out")
    made = sums(tmp_path)
    assert made.decode().splitlines()[0] == f"{hashlib.sha256(b'').hexdigest()}  a"
    assert made.count(b"\n") == 2
    (tmp_path / SUMS).write_bytes(made)
    subprocess.run(["sha256sum", "--quiet", "-c", SUMS], cwd=tmp_path, check=True)
    assert digest(made) == hashlib.sha256(made).hexdigest()

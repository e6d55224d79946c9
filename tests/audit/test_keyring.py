import json

import pytest

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.key import Signer, Verifier
from appliance.audit.keyring import BoundKey, Keyring
from appliance.audit.note import Note, sign
from appliance.audit.tree import SIZE_MAX
from appliance.errors import FormatError, VerificationError

NAME = "audit.example/demo"
OLD, NEW = Signer(NAME, bytes(32)), Signer(NAME, bytes(range(32)), bytes(range(1, 33)))
OLD_KEY = OLD.verifier.text()
NEW_KEY, NEW_P256 = (key.text() for key in NEW.verifiers)


def keyring(revoked: int | None = None, status: str = "retired") -> str:
    keys = [
        {"vkey": OLD_KEY, "from_size": 0, "to_size": 100, "status": status},
        {"vkey": NEW_KEY, "from_size": 100, "to_size": None, "status": "active"},
        {"vkey": NEW_P256, "from_size": 100, "to_size": None, "status": "active"},
    ]
    value = {"v": 1, "origin": NAME, "revoked_from_size": revoked, "keys": keys}
    return json.dumps(value, indent=1) + "\n"


def note(size: int, *signers: Signer) -> bytes:
    text = Checkpoint(NAME, size, bytes(32)).text()
    lines = (line for signer in signers for line in sign(text, signer).signatures)
    return Note(text, tuple(lines)).to_bytes()


@pytest.mark.parametrize("text", [keyring(), keyring(60, "revoked")])
def test_parse_is_the_inverse_of_text(text: str) -> None:
    assert Keyring.parse(text).text() == text
    assert Keyring.parse(text).origin == NAME


@pytest.mark.parametrize(
    ("size", "signers"),
    [(1, [OLD]), (99, [OLD]), (100, [OLD, NEW]), (101, [NEW]), (10**9, [NEW])],
)
def test_each_size_has_its_keys_and_all_of_them_sign(size: int, signers: list[Signer]) -> None:
    keys = Keyring.parse(keyring())
    expected = [key for signer in signers for key in signer.verifiers]
    assert list(keys.keys_of(size)) == expected
    assert keys.open(note(size, *signers)).size == size
    for other in ([OLD], [NEW], [OLD, NEW]):
        if not set(signers) <= set(other):
            with pytest.raises(VerificationError):
                keys.open(note(size, *other))


def test_one_line_of_two_is_not_enough() -> None:
    keys = Keyring.of(NEW.verifiers)
    whole = Note.parse(note(5, NEW))
    assert keys.open(whole.to_bytes()).size == 5
    for line in whole.signatures:
        with pytest.raises(VerificationError):
            keys.open(Note(whole.text, (line,)).to_bytes())


def test_a_revoked_key_proves_nothing_beyond_the_last_good_anchor() -> None:
    keys = Keyring.parse(keyring(60, "revoked"))
    assert keys.open(note(60, OLD)).size == 60
    with pytest.raises(VerificationError, match="revoked"):
        keys.open(note(61, OLD))
    assert keys.keys_of(100) == NEW.verifiers  # what the thief signs there needs the new key
    assert keys.unproven() == range(60, 100)
    assert Keyring.parse(keyring()).unproven() == range(0)


def test_without_a_key_that_follows_the_unproven_records_have_no_end() -> None:
    bound = BoundKey(OLD_KEY, status="revoked")
    assert Keyring(1, NAME, 7, (bound,)).unproven() == range(7, SIZE_MAX)


def test_a_key_of_a_type_to_come_is_kept_and_left_out() -> None:
    later = Verifier(NAME, bytes(1312), 6)
    keys = Keyring.of([*OLD.verifiers, later])
    assert Keyring.parse(keys.text()).keys_of(3) == OLD.verifiers
    with pytest.raises(VerificationError):
        Keyring.of([later]).keys_of(3)


def _without(text: str, name: str) -> str:
    value = json.loads(text)
    del value[name]
    return json.dumps(value, indent=1) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{}\n", id="nothing in it"),
        pytest.param(keyring()[:-1], id="no final newline"),
        pytest.param(keyring() + "\n", id="empty line at the end"),
        pytest.param(keyring().replace('"v": 1', '"v": 2'), id="other version"),
        pytest.param(keyring().replace('"v": 1', '"v": true'), id="version of another type"),
        pytest.param(_without(keyring(), "revoked_from_size"), id="field away"),
        pytest.param(keyring().replace('"v": 1', '"v": 1, "x": 2'), id="field too many"),
        pytest.param(keyring().replace('"v": 1,', '"v": 1, "v": 1,'), id="field twice"),
        pytest.param(keyring().replace(NAME, "audit.example/other", 1), id="other log"),
        pytest.param(keyring().replace(NEW_KEY, OLD_KEY), id="key twice"),
        pytest.param(keyring().replace('"to_size": 100', '"to_size": -1'), id="negative"),
        pytest.param(keyring().replace('"to_size": 100', '"to_size": 1e2'), id="float"),
        pytest.param(keyring().replace('size": 0', 'size": 101'), id="ends before it begins"),
        pytest.param(keyring(status="lost"), id="unknown status"),
        pytest.param(keyring(60), id="revoked size without a revoked key"),
        pytest.param(keyring(status="revoked"), id="revoked key without a size"),
        pytest.param(keyring().replace(OLD_KEY, OLD_KEY[:-1]), id="not a key"),
        pytest.param(
            Keyring(1, NAME, None, ()).text(),
            id="no key",
        ),
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(FormatError):
        Keyring.parse(text)

import pytest

from appliance.audit.cosignature import WitnessKey
from appliance.audit.key import Signer, Verifier
from appliance.audit.note import Note, Signature, sign
from appliance.audit.policy import Policy
from appliance.errors import FormatError, VerificationError

SIGNER = Signer("audit.example/demo", bytes(range(32)), bytes(range(1, 33)))
LOG, SECOND = (key.text() for key in SIGNER.verifiers)
KEYS = {name: WitnessKey(f"{name}.example/w", bytes([n]) * 32) for n, name in enumerate("abcd")}
LINES = [f"witness {name} {key.cosigner.text()}" for name, key in KEYS.items()]
TEXT = "\n".join(
    [
        f"log {LOG} http://log.internal/",
        f"log {SECOND}",
        *LINES[:3],
        f"{LINES[3]} http://witness.internal/",
        "group ab any a b",
        "group cd all c d",
        "group both 2 ab cd",
        "quorum both",
        "",
    ]
)
SMALL = f"log {LOG}\n{LINES[0]}\n{LINES[1]}\nquorum a\n"


def noted(*names: str) -> Note:
    note = sign("text\n", SIGNER)
    lines = (KEYS[name].cosign("text\n", 100 + n) for n, name in enumerate(names))
    return Note(note.text, (*note.signatures, *lines))


@pytest.mark.parametrize("text", [TEXT, SMALL, "quorum none\n", f"log {LOG}\nquorum none\n"])
def test_parse_is_the_inverse_of_text(text: str) -> None:
    assert Policy.parse(text).text() == text


def test_the_parts_of_a_policy() -> None:
    policy = Policy.parse(TEXT)
    assert policy.keys == SIGNER.verifiers
    assert [one.name for one in policy.witnesses] == ["a", "b", "c", "d"]
    assert policy.witnesses[3].url == "http://witness.internal/"


@pytest.mark.parametrize(
    ("names", "enough"),
    [("", False), ("ab", False), ("cd", False), ("ac", False), ("acd", True), ("bcd", True)],
)
def test_the_quorum_counts_those_who_cosigned(names: str, *, enough: bool) -> None:
    policy = Policy.parse(TEXT)
    cosigned = policy.cosigned(noted(*names))
    assert cosigned == {name: 100 + n for n, name in enumerate(names)}
    if enough:
        policy.check_quorum(cosigned)
    else:
        with pytest.raises(VerificationError):
            policy.check_quorum(cosigned)


def test_without_a_quorum_nobody_has_to_agree() -> None:
    Policy.parse("quorum none\n").check_quorum([])


def test_a_name_that_is_not_in_the_policy_counts_for_nothing() -> None:
    with pytest.raises(VerificationError):
        Policy.parse(SMALL).check_quorum(["b", "e", "none"])


def test_one_false_cosignature_refuses_the_note_when_its_witness_is_known() -> None:
    note = noted("a")
    false = Signature("b.example/w", KEYS["b"].cosigner.key.key_id, bytes(72))
    both = Note(note.text, (*note.signatures, false))
    with pytest.raises(VerificationError):
        Policy.parse(SMALL).cosigned(both)
    alone = f"{LINES[0]}\nquorum a\n"
    assert Policy.parse(alone).cosigned(both) == {"a": 100}


def test_a_log_key_of_a_type_to_come_is_kept_and_says_nothing() -> None:
    later = SIGNER.verifier.text().replace("AQOh", "BgOh")
    with pytest.raises(FormatError):  # its id is that of the other type
        Policy.parse(f"log {later}\nquorum none\n")
    text = f"log {Verifier('audit.example/demo', bytes(1312), 6).text()}\nquorum none\n"
    assert Policy.parse(text).keys == ()
    assert Policy.parse(text).text() == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(SMALL[:-1], id="no final newline"),
        pytest.param(SMALL + "\n", id="empty line at the end"),
        pytest.param("\n" + SMALL, id="empty line"),
        pytest.param("# comment\n" + SMALL, id="comment"),
        pytest.param(" " + SMALL, id="space before"),
        pytest.param(SMALL.replace(LOG, LOG + " "), id="space after a key"),
        pytest.param(SMALL.replace("log ", "log  "), id="two spaces"),
        pytest.param(SMALL.replace("log ", "log\t"), id="tabulator"),
        pytest.param(SMALL.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(SMALL.replace("quorum a\n", ""), id="no quorum"),
        pytest.param(SMALL + "quorum a\n", id="two quorums"),
        pytest.param(SMALL.replace("quorum a", "quorum x"), id="quorum of nobody"),
        pytest.param(SMALL.replace("quorum a", "quorum a b"), id="quorum of two"),
        pytest.param(SMALL.replace("witness b", "witness a"), id="name twice"),
        pytest.param(SMALL.replace("witness b", "witness none"), id="name of nobody"),
        pytest.param(LINES[0] + "\n" + SMALL.replace("ss a", "ss e"), id="witness twice"),
        pytest.param(f"log {LOG}\n{SMALL}", id="log twice"),
        pytest.param(SMALL.replace(LOG, KEYS["c"].cosigner.text()), id="witness as a log"),
        pytest.param(f"witness x {LOG}\nquorum x\n", id="log as a witness"),
        pytest.param(TEXT.replace("group ab any a b", "group ab any"), id="empty group"),
        pytest.param(TEXT.replace("ab any a b", "ab any a a"), id="member twice"),
        pytest.param(TEXT.replace("cd all c d", "cd all c a"), id="member of two groups"),
        pytest.param(TEXT.replace("both 2", "both 3"), id="more than there are"),
        pytest.param(TEXT.replace("both 2", "both 0"), id="none needed"),
        pytest.param(TEXT.replace("both 2", "both 02"), id="leading zero"),
        pytest.param(TEXT.replace("both 2 ab cd", "both 2 both cd"), id="group in itself"),
        pytest.param(TEXT.replace("ab any a b", "ab any both b"), id="defined later"),
        pytest.param(SMALL.replace("log ", "logs "), id="unknown word"),
        pytest.param(f"quorum none\n{SMALL}", id="quorum before"),
        pytest.param(f"log {LOG} http://a b\nquorum none\n", id="too many words"),
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(FormatError):
        Policy.parse(text)

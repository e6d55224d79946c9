import base64

import pytest

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.key import Signer
from appliance.audit.note import sign
from appliance.audit.proof import PATH_MAX, PROOF_BYTES_MAX, Proof
from appliance.audit.tree import Frontier, leaf_hash
from appliance.errors import FormatError, VerificationError

ENTRIES = [b'{"n":0}', b'{"n":1}', b'{"n":2}']
HASHES = [leaf_hash(entry) for entry in ENTRIES]
SIGNER = Signer("audit.example/demo", bytes(range(32)))
FRONTIER = Frontier()
for _entry in ENTRIES:
    FRONTIER.add(_entry)
NOTE = sign(Checkpoint("audit.example/demo", 3, FRONTIER.root()).text(), SIGNER).to_bytes()
PROOF = Proof(1, (HASHES[0], HASHES[2]), NOTE)
GOOD = PROOF.to_bytes().decode()
SIBLING = base64.b64encode(HASHES[0]).decode()


def test_the_proof_of_the_worked_example_to_the_byte() -> None:
    head = (
        "c2sp.org/tlog-proof@v1\nindex 1\n"
        "+UBwq/0toL9ykC6xOoCOeU+VTZ4nRcaCoVj27Q1KwDY=\n"
        "PR3ndt8IbBrp9wSdK7DAR1rRQYX5h+Bk6NENyy20oyI=\n\n"
    )
    assert head + NOTE.decode() == GOOD
    assert PROOF.verify(ENTRIES[1], SIGNER.verifier).size == 3


@pytest.mark.parametrize(
    "proof",
    [PROOF, PROOF.with_extra(b"\x00more"), PROOF.with_extra(b""), Proof(0, (), NOTE)],
    ids=["plain", "extra", "empty extra", "no path"],
)
def test_parse_is_the_inverse_of_to_bytes(proof: Proof) -> None:
    assert Proof.parse(proof.to_bytes()) == proof


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param(Proof(0, PROOF.path, NOTE), id="other index"),
        pytest.param(Proof(3, PROOF.path, NOTE), id="index outside"),
        pytest.param(Proof(1, PROOF.path[:1], NOTE), id="path too short"),
        pytest.param(Proof(1, (*PROOF.path, bytes(32)), NOTE), id="path too long"),
        pytest.param(Proof(1, PROOF.path[::-1], NOTE), id="path in another order"),
        pytest.param(Proof(1, PROOF.path, NOTE.replace(b"\n3\n", b"\n4\n")), id="other size"),
    ],
)
def test_a_proof_that_does_not_lead_to_the_signed_root_is_refused(proof: Proof) -> None:
    with pytest.raises(VerificationError):
        proof.verify(ENTRIES[1], SIGNER.verifier)


def test_another_entry_is_refused() -> None:
    for entry in (ENTRIES[0], ENTRIES[1] + b" ", b""):
        with pytest.raises(VerificationError):
            PROOF.verify(entry, SIGNER.verifier)


def test_the_key_of_another_log_is_refused() -> None:
    with pytest.raises(VerificationError):
        PROOF.verify(ENTRIES[1], Signer("audit.example/demo", bytes(32)).verifier)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="empty"),
        pytest.param(GOOD.replace("@v1", "@v2"), id="other version"),
        pytest.param(GOOD.split("\n", 1)[1], id="no header"),
        pytest.param(GOOD.replace("index 1\n", ""), id="no index"),
        pytest.param(GOOD.replace("index 1", "index 01"), id="index with a leading zero"),
        pytest.param(GOOD.replace("index 1", "index -1"), id="negative index"),
        pytest.param(GOOD.replace("index 1", "index ١"), id="index that is not ASCII"),
        pytest.param(GOOD.replace("index 1", f"index {2**63}"), id="index above the limit"),
        pytest.param(GOOD.replace("index 1", "index " + "9" * 5000), id="index of 5000 digits"),
        pytest.param(GOOD.replace("index 1", "Index 1"), id="capital"),
        pytest.param(GOOD.replace("index", "extra !\nindex"), id="extra that is not base64"),
        pytest.param(
            GOOD.replace("index 1\n", "index 1\nextra AA==\n"), id="extra after index"
        ),
        pytest.param(GOOD.replace("index", "extra AA==\nextra AA==\nindex"), id="extra twice"),
        pytest.param(GOOD.replace(SIBLING, SIBLING[:-1]), id="hash without padding"),
        pytest.param(GOOD.replace(SIBLING, "AA=="), id="hash of one byte"),
        pytest.param(
            GOOD.replace(SIBLING, "\n".join([SIBLING] * PATH_MAX)), id="path of 64 hashes"
        ),
        pytest.param(GOOD.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(GOOD + "x" * PROOF_BYTES_MAX, id="too long"),
    ],
)
def test_parse_refuses(data: str) -> None:
    with pytest.raises(FormatError):
        Proof.parse(data.encode())

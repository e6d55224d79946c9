"""The receipt, judged twice: by the package, and by the page that people run without it."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.audit.content import Part, commit
from appliance.audit.key import Signer
from appliance.audit.note import Note, Signature
from appliance.audit.proof import Proof
from appliance.audit.receipt import Verified, check, page, page_digest, receipt_file
from appliance.errors import ApplianceError, VerificationError
from tests.audit import logs
from tests.audit.logs import ANSWER, QUESTION, VERIFIER_KEY, VERIFIER_KEYS

REQUEST = 7
INDEX = 2 * REQUEST + 2  # of its terminal record


@pytest.fixture(scope="module")
def receipt(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    stored = logs.leaves(logs.exchanges(300))
    published = logs.publish(tmp_path_factory.mktemp("log"), stored)
    keys = logs.content_key(REQUEST)
    opened = {part: keys.commitment_key(part) for part in ("question", "answer")}
    return receipt_file(published.prove(INDEX), published.entry(INDEX), opened)  # type: ignore[arg-type]


class Page:
    """The printed page, run where there is nothing but python3 and openssl."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "verify_receipt.py").write_text(page(), "utf-8")

    def run(self, receipt: bytes, key: str = VERIFIER_KEY, *texts: str) -> tuple[int, str]:
        (self._folder / "receipt.tlog-proof").write_bytes(receipt)
        names = ["question.txt", "answer.txt"][: len(texts)]
        for name, text in zip(names, texts, strict=True):
            (self._folder / name).write_text(text, "utf-8")
        python = [sys.executable, "-I", "-S", "verify_receipt.py", "receipt.tlog-proof", key]
        argv = ["/usr/bin/env", "-i", "PYTHONIOENCODING=utf-8", *python, *names]
        done = subprocess.run(argv, cwd=self._folder, capture_output=True, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()


@pytest.fixture
def paper(tmp_path: Path) -> Page:
    return Page(tmp_path)


def test_a_receipt_proves_the_record_and_both_texts(receipt: bytes) -> None:
    verified = check(receipt, VERIFIER_KEY)
    assert (verified.index, verified.head.size) == (INDEX, 601)
    assert verified.stored == logs.leaf(INDEX, logs.completion(REQUEST))
    verified.check_text("question", QUESTION)
    verified.check_text("answer", ANSWER)


def test_the_page_accepts_it_with_python3_and_openssl_alone(
    receipt: bytes, paper: Page
) -> None:
    assert shutil.which("openssl")
    code, output = paper.run(receipt, VERIFIER_KEY, QUESTION, ANSWER)
    assert code == 0, output
    assert f"AUTHENTIQUE / AUTHENTIC: {logs.ORIGIN}, {INDEX}/601" in output
    assert output.count("identique / identical") == 2
    assert "casemate.llm.completion.v1" in output
    assert paper.run(receipt, VERIFIER_KEY, QUESTION + "\n")[0] == 0  # an editor's newline
    assert paper.run(receipt)[0] == 0  # without the texts


def test_who_has_both_keys_asks_for_both_signatures(receipt: bytes, paper: Page) -> None:
    assert check(receipt, VERIFIER_KEYS).index == INDEX
    code, output = paper.run(receipt, VERIFIER_KEYS)  # the page looks at the first one
    assert code == 0, output
    proof = Proof.parse(receipt)
    note = Note.parse(proof.note)
    for kept in note.signatures:
        alone = replace(proof, note=Note(note.text, (kept,)).to_bytes()).to_bytes()
        with pytest.raises(VerificationError, match="not signed by"):
            check(alone, VERIFIER_KEYS)


def test_the_page_needs_nothing_of_this_package_and_fits_on_paper() -> None:
    text = page()
    assert "appliance" not in text
    assert "cryptography" not in text
    assert len(text.splitlines()) <= 100
    assert max(map(len, text.splitlines())) <= 96
    assert len(bytes.fromhex(page_digest())) == 32


@pytest.mark.parametrize("part", ["question", "answer"])
def test_another_text_is_refused_and_the_record_is_named(
    receipt: bytes, paper: Page, part: str
) -> None:
    texts = {"question": QUESTION, "answer": ANSWER}
    texts[part] = texts[part].replace("deux", "trois").replace("congé", "mutation")
    assert part in ("question", "answer")
    with pytest.raises(VerificationError, match=f"record {INDEX} commits to"):
        check(receipt, VERIFIER_KEY).check_text(part, texts[part])  # type: ignore[arg-type]
    code, output = paper.run(receipt, VERIFIER_KEY, texts["question"], texts["answer"])
    assert code == 1
    assert f"record {INDEX}: {part}" in output


def _changed(receipt: bytes, change: Callable[[Any], None]) -> bytes:
    """Change what the extra line holds, as somebody would who can edit the file."""
    proof = Proof.parse(receipt)
    extra = json.loads(proof.extra or b"")
    change(extra)
    text = json.dumps(extra, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return proof.with_extra(text.encode()).to_bytes()


def _edit_leaf(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(extra: Any) -> None:
        assert old in extra["leaf"]
        extra["leaf"] = extra["leaf"].replace(old, new)

    return lambda receipt: _changed(receipt, change)


def _other_answer(receipt: bytes) -> bytes:
    """Put another answer's commitment into the record, so that a forged text would open it."""
    key = logs.content_key(REQUEST).commitment_key("answer")
    true, false = commit(key, ANSWER), commit(key, "Trois mois.")
    return _edit_leaf(true, false)(receipt)


def _other_index(receipt: bytes) -> bytes:
    return replace(Proof.parse(receipt), index=INDEX + 2).to_bytes()


def _other_path(receipt: bytes) -> bytes:
    proof = Proof.parse(receipt)
    return replace(proof, path=(bytes(32), *proof.path[1:])).to_bytes()


def _short_path(receipt: bytes) -> bytes:
    proof = Proof.parse(receipt)
    return replace(proof, path=proof.path[:-1]).to_bytes()


def _long_path(receipt: bytes) -> bytes:
    proof = Proof.parse(receipt)
    return replace(proof, path=(*proof.path, bytes(32))).to_bytes()


def _in_note(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(receipt: bytes) -> bytes:
        proof = Proof.parse(receipt)
        assert old in proof.note
        return replace(proof, note=proof.note.replace(old, new)).to_bytes()

    return change


def _signed_by(signer: Signer) -> Callable[[bytes], bytes]:
    """Sign the checkpoint again, under the name and key id of the log."""

    def change(receipt: bytes) -> bytes:
        proof = Proof.parse(receipt)
        note = Note.parse(proof.note)
        own, second = note.signatures
        forged = Signature(own.name, own.key_id, signer.sign(note.text.encode()))
        return replace(proof, note=Note(note.text, (forged, second)).to_bytes()).to_bytes()

    return change


def _unsigned(receipt: bytes) -> bytes:
    return _in_note(b"\xe2\x80\x94 audit.example/demo ", b"\xe2\x80\x94 audit.example/dem0 ")(
        receipt
    )


def _root_of_own_making(receipt: bytes) -> bytes:
    """Change the record, and the root so that it fits; nobody can sign it."""
    proof = Proof.parse(_edit_leaf('"status":200', '"status":500')(receipt))
    old = Note.parse(proof.note).text.split("\n")[2].encode()
    return replace(proof, note=proof.note.replace(old, base64.b64encode(bytes(32)))).to_bytes()


TAMPERINGS: dict[str, Callable[[bytes], bytes]] = {
    "tokens lowered in the record": _edit_leaf('_tokens":60', '_tokens":6'),
    "author changed in the record": _edit_leaf("sub-of-agent", "sub-of-other"),
    "time changed in the record": _edit_leaf('"at":17', '"at":16'),
    "answer replaced with its commitment": _other_answer,
    "index of another record": _other_index,
    "sibling replaced": _other_path,
    "path shortened": _short_path,
    "path prolonged": _long_path,
    "size of the tree changed": _in_note(b"\n601\n", b"\n602\n"),
    "signature of another key": _signed_by(Signer(logs.ORIGIN, bytes(32))),
    "signature in another name": _unsigned,
    "record and root changed together": _root_of_own_making,
}  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_a_tampered_receipt_is_refused_by_the_package_and_the_page_naming_the_record(
    receipt: bytes, paper: Page, tamper: Callable[[bytes], bytes]
) -> None:
    tampered = tamper(receipt)
    assert tampered != receipt
    named = Proof.parse(tampered).index
    with pytest.raises(VerificationError, match=f"record {named}"):
        check(tampered, VERIFIER_KEY)
    code, output = paper.run(tampered, VERIFIER_KEY, QUESTION, ANSWER)
    assert code == 1
    assert "REFUSÉ / REFUSED" in output
    assert f"record {named}" in output
    assert "AUTHENTIC:" not in output


def test_a_false_key_for_the_commitment_opens_nothing(receipt: bytes, paper: Page) -> None:
    def other_key(extra: Any) -> None:
        extra["open"]["answer"] = base64.b64encode(bytes(32)).decode()

    changed = _changed(receipt, other_key)
    with pytest.raises(VerificationError, match="commits to"):
        check(changed, VERIFIER_KEY).check_text("answer", ANSWER)
    assert paper.run(changed, VERIFIER_KEY, QUESTION, ANSWER)[0] == 1


def test_a_receipt_without_keys_proves_the_record_but_no_text(receipt: bytes) -> None:
    proof = Proof.parse(receipt)
    bare = check(receipt_file(proof, check(receipt, VERIFIER_KEY).stored, {}), VERIFIER_KEY)
    with pytest.raises(VerificationError, match="does not open"):
        bare.check_text("answer", ANSWER)


def test_a_record_that_ends_no_request_opens_nothing(tmp_path: Path) -> None:
    published = logs.publish(tmp_path, logs.leaves(logs.exchanges(2)))
    keys = {"answer": bytes(32)}
    verified = check(
        receipt_file(published.prove(0), published.entry(0), keys),  # type: ignore[arg-type]
        VERIFIER_KEY,
    )
    with pytest.raises(VerificationError, match="record 0 does not end a request"):
        verified.check_text("answer", ANSWER)


def test_a_request_that_the_recorder_ended_commits_to_no_question(tmp_path: Path) -> None:
    end = msgspec.structs.replace(logs.completion(0), prompt="")
    published = logs.publish(tmp_path, logs.leaves([logs.budget(), logs.intent(0), end]))
    keys: dict[Part, bytes] = {"question": bytes(32)}
    file = receipt_file(published.prove(2), published.entry(2), keys)
    with pytest.raises(VerificationError, match="record 2 commits to no question"):
        check(file, VERIFIER_KEY).check_text("question", QUESTION)


def test_a_record_at_the_place_of_another_is_refused_though_it_is_signed(
    tmp_path: Path, paper: Page
) -> None:
    stored = logs.leaves(logs.exchanges(1))
    stored[1] = logs.leaf(0, logs.intent(0))  # says that it is record 0
    published = logs.publish(tmp_path, stored)
    file = receipt_file(published.prove(1), published.entry(1), {})
    with pytest.raises(VerificationError, match="record 1 says that it is record 0"):
        check(file, VERIFIER_KEY)
    assert paper.run(file)[0] == 1


KEYS = {
    "of another log": Signer("audit.example/other", logs.SEED).verifier.text(),
    "of the same name": Signer(logs.ORIGIN, bytes(32)).verifier.text(),
    "with another id": VERIFIER_KEY.replace("6407748a", "6407748b"),
    "of another type": VERIFIER_KEY.replace("AQOh", "AgOh"),
    "cut": VERIFIER_KEY[:-4],
    "empty": "",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_a_key_that_is_not_the_log_s_is_refused_by_both(
    receipt: bytes, paper: Page, key: str
) -> None:
    with pytest.raises(ApplianceError):
        check(receipt, key)
    assert paper.run(receipt, key)[0] == 1


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "not a proof": lambda _: b"%PDF-1.7\n",
    "cut in the note": lambda receipt: receipt[:-10],
    "cut in the extra line": lambda receipt: receipt[:200],
    "no final newline": lambda receipt: receipt[:-1],
    "CRLF": lambda receipt: receipt.replace(b"\n", b"\r\n"),
    "no extra line": lambda receipt: replace(Proof.parse(receipt), extra=None).to_bytes(),
    "extra that is not JSON": lambda receipt: Proof.parse(receipt).with_extra(b"{").to_bytes(),
    "extra without a record": lambda r: Proof.parse(r).with_extra(b'{"open":{}}').to_bytes(),
    "index with a leading zero": lambda receipt: receipt.replace(b"\nindex ", b"\nindex 0"),
    "other version": lambda receipt: receipt.replace(b"@v1", b"@v2"),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_is_no_receipt_is_refused_by_both(
    receipt: bytes, paper: Page, damage: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(ApplianceError):
        check(damage(receipt), VERIFIER_KEY)
    code, output = paper.run(damage(receipt))
    assert (code, "Traceback" in output) == (1, False), output


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda extra: extra.update(more=1), id="unknown field"),
        pytest.param(lambda extra: extra["open"].update(passages="QQ=="), id="unknown part"),
        pytest.param(lambda extra: extra["open"].update(answer="QQ=="), id="key of one byte"),
        pytest.param(lambda extra: extra["open"].update(answer="!"), id="key not base64"),
        pytest.param(lambda extra: extra.update(leaf="{}"), id="not a record"),
    ],
)
def test_an_extra_line_of_another_form_is_refused(
    receipt: bytes, change: Callable[[Any], None]
) -> None:
    with pytest.raises(ApplianceError):
        check(_changed(receipt, change), VERIFIER_KEY)


def test_an_extra_line_in_another_order_is_refused(receipt: bytes) -> None:
    proof = Proof.parse(receipt)
    extra = json.dumps(json.loads(proof.extra or b""), indent=1).encode()
    with pytest.raises(ApplianceError, match="canonical"):
        check(proof.with_extra(extra).to_bytes(), VERIFIER_KEY)


def test_each_byte_that_counts_is_covered(receipt: bytes) -> None:
    """Flip each byte: refused, or the same record with keys that open nothing else."""
    good = check(receipt, VERIFIER_KEYS)
    accepted: list[Verified] = []
    for at in range(len(receipt)):
        changed = receipt[:at] + bytes([receipt[at] ^ 1]) + receipt[at + 1 :]
        try:
            accepted.append(check(changed, VERIFIER_KEYS))
        except ApplianceError:
            continue
    assert all(one.stored == good.stored and one.head == good.head for one in accepted)
    assert all(one.keys != good.keys for one in accepted)

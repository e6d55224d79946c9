"""An export judged by the program of its auditor: honest, attacked, damaged, malformed."""

import functools
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.audit import contents
from appliance.audit.completeness import Watch
from appliance.audit.event import FACTS, Event, Kind, Leaf, fact
from appliance.audit.exported import loaded, verifier, verifier_digest, verify
from appliance.audit.key import Signer
from appliance.audit.note import Note, Signature, sign
from appliance.audit.tile import encode_bundle, split_bundle, tile_at
from appliance.audit.tree import leaf_hash
from appliance.errors import FormatError, VerificationError
from tests.audit import exports, logs
from tests.audit.exports import POLICY, cosigned, exported, head_of, judged
from tests.audit.logs import ORIGIN, SIGNER

COUNT = 1000
ANCHORS = (250, 500, 750, 900)
THIEF = Signer(ORIGIN, bytes(range(1, 33)), bytes(range(65, 97)))
REDONE = ("tile", "checkpoint", "export.json", "SHA256SUMS")


def happened(number: int) -> Event:
    return fact(Kind.RAG_OPEN, "ada", f"fact-{number:016d}")


def events(count: int = COUNT) -> list[Event]:
    return [*logs.exchanges((count - 1) // 2), happened(count)][:count]


@pytest.fixture(scope="module")
def stored() -> list[bytes]:
    return logs.leaves(events())


@pytest.fixture(scope="module")
def honest(stored: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the export of the whole log, all of it witnessed."""
    folder = tmp_path_factory.mktemp("honest")
    done = exported(folder, stored, [*ANCHORS, COUNT])
    done.folder.rename(folder / "export")
    return folder


@pytest.fixture
def taken(honest: Path, tmp_path: Path) -> Path:
    """Return a copy of that export, beside the policy."""
    shutil.copytree(honest / "export", tmp_path / "export")
    shutil.copy(honest / "POLICY", tmp_path)
    return tmp_path / "export"


def redo_sums(export: Path) -> None:
    (export / contents.SUMS).write_bytes(contents.sums(export))


def code_of(export: Path, *more: str | Path) -> tuple[int, str]:
    """Return exit code and the fault, or the first remark."""
    code, facts = judged(export, export.parent / "POLICY", *map(str, more))
    remarks = [one["remark"] for one in facts.get("remarks", [])]
    return code, str(facts.get("fault") or next(iter(remarks), ""))


def remade(
    folder: Path, leaves: Sequence[bytes], anchors: Sequence[int] = (), **order: Any
) -> Path:
    """Return an export of these leaves, signed and witnessed as if they were honest."""
    return exported(folder, leaves, anchors, **order).folder.rename(folder / "export")


# an honest export


def test_an_honest_export_is_whole_anchored_and_complete(taken: Path) -> None:
    code, facts = judged(taken, taken.parent / "POLICY")
    assert (code, facts["verdict"], facts["remarks"]) == (0, "whole", [])
    assert (facts["from"], facts["to"], facts["size"]) == (0, COUNT - 1, COUNT)
    assert facts["anchored_size"] == COUNT
    assert facts["root"] == head_of(logs.leaves(events())).text.split("\n")[2] or facts["root"]
    assert facts["integrity"] is facts["anchoring"] is facts["completeness"] is True


def test_it_is_verified_where_there_is_only_python3(taken: Path) -> None:
    argv = ["env", "-i", "/usr/bin/python3", "-I", "-S", str(taken / "verify.py"), str(taken)]
    policy = ["--policy", str(taken.parent / "POLICY")]
    done = subprocess.run([*argv, *policy], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    said = done.stdout.decode()
    assert said.startswith(f"Export intègre : {ORIGIN}\n")
    assert "Ne peut être vu ici : une clé volée" in said
    english = subprocess.run(
        [*argv, *policy, "--language", "en"], capture_output=True, check=False
    ).stdout.decode()
    assert english.startswith(f"The export is whole: {ORIGIN}\n")
    assert "Cannot be seen here: a stolen key" in english


def test_the_program_is_one_file_of_the_standard_library() -> None:
    used = set(re.findall(r"^(?:import|from) ([a-z0-9_.]+)", verifier(), re.MULTILINE))
    assert used <= set(__import__("sys").stdlib_module_names)
    compile(verifier(), "verify.py", "exec", flags=0)
    assert __import__("ast").parse(verifier(), feature_version=(3, 9))
    assert verifier_digest() == hashlib.sha256(verifier().encode()).hexdigest()


def test_a_module_beside_the_program_is_not_loaded(taken: Path) -> None:
    (taken / "argparse.py").write_text("import sys\nprint('Export intègre')\nsys.exit(0)\n")
    argv = ["env", "-i", "/usr/bin/python3", str(taken / "verify.py"), str(taken)]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == 2  # no policy: the real argparse says so


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (10, 300), (256, 511), (255, 256), (999, 999), (0, 899)]
)
def test_a_range_verifies_to_the_signed_root(
    tmp_path: Path, stored: list[bytes], first: int, last: int
) -> None:
    export = remade(tmp_path, stored, ANCHORS, first=first, last=last)
    bundles = sorted(
        path.name for path in (export / "tile/entries").rglob("*") if path.is_file()
    )
    assert len(bundles) == last // 256 - first // 256 + 1
    assert len((export / "events.jsonl").read_bytes().splitlines()) == last - first + 1
    code, facts = judged(export, tmp_path / "POLICY")
    assert (facts["from"], facts["to"]) == (first, last)
    assert code == (3 if last >= 900 else 0)


def test_one_of_every_type_is_derived_as_the_verifier_derives_it(tmp_path: Path) -> None:
    wide: dict[str, str | int] = {f"field{n}": "é" * 100 for n in range(17)}
    odd: dict[str, str | int] = {
        "reason": "=cmd|'/C calc'!A0", "ip": "::1", "name": 'a\nb\x7f\u2028;"c"', "n": -3,
        "action": "sudo", "user": "\U0001f600",
    }  # fmt: skip
    varied: list[Event] = [
        *logs.exchanges(2),
        *(FACTS[kind](actor="ada", id=f"f-{n:016d}", data=odd) for n, kind in enumerate(FACTS)),
        *(FACTS[kind](actor="", id=f"w-{n:016d}", data=wide) for n, kind in enumerate(FACTS)),
        *(FACTS[kind](actor="x", id=f"e-{n:016d}", label=3) for n, kind in enumerate(FACTS)),
    ]
    leaves = logs.leaves(varied)
    export = remade(tmp_path, leaves, [len(leaves)])
    code, facts = judged(export, tmp_path / "POLICY")
    assert code == 4, facts  # steps of the clock, losses and the like are told
    assert {one["remark"] for one in facts["remarks"]} == {
        "W_CLOCK_STEP", "W_DEGRADED", "W_EPOCH", "W_LOSS",
    }  # fmt: skip
    assert set(facts["types"]) == {*map(str, FACTS), *{
        "casemate.llm.request.v1", "casemate.llm.completion.v1", "casemate.budget.change.v1",
    }}  # fmt: skip


# the attack table


def changed(stored: Sequence[bytes], index: int) -> list[bytes]:
    leaves = list(stored)
    leaves[index] = leaves[index].replace(b'"label":1', b'"label":2')
    assert leaves[index] != stored[index]
    return leaves


def renumbered(leaves: Sequence[bytes]) -> list[bytes]:
    return [
        re.sub(rb'"index":\d+,"mono"', b'"index":%d,"mono"' % n, leaf)
        for n, leaf in enumerate(leaves)
    ]


def without(stored: Sequence[bytes], index: int) -> list[bytes]:
    return renumbered([*stored[:index], *stored[index + 1 :]])


def swapped(stored: Sequence[bytes], index: int) -> list[bytes]:
    leaves = list(stored)
    leaves[index : index + 2] = leaves[index + 1], leaves[index]
    return renumbered(leaves)


def inserted(stored: Sequence[bytes], index: int) -> list[bytes]:
    extra = logs.leaf(index, happened(1))
    return renumbered([*stored[:index], extra, *stored[index:]])


def kept_elsewhere(stored: Sequence[bytes], size: int, folder: Path) -> Path:
    """Return the note that the auditor brings from the last visit, or from the safe."""
    path = folder / f"kept-{size}.note"
    path.write_bytes(head_of(stored, size).to_bytes())
    return path


@pytest.mark.parametrize("redone", [False, True], ids=["sums-left", "sums-redone"])
def test_attack_edit_a_record_and_recompute_nothing(taken: Path, *, redone: bool) -> None:
    bundle = taken / "tile/entries/001"
    data = bundle.read_bytes()
    offset, record = split_bundle(data, tile_at(0, 1, COUNT))[44]
    at = data.index(b'"label":1', offset) + 8
    bundle.write_bytes(data[:at] + b"2" + data[at + 1 :])
    if redone:
        redo_sums(taken)
    code, facts = judged(taken, taken.parent / "POLICY")
    assert (code, facts["fault"], facts["index"]) == (1, "E_LEAF", 300)
    assert (facts["file"], facts["offset"]) == ("tile/entries/001", offset)
    assert record


@pytest.mark.parametrize("name", ["tile/0/000", "tile/1/000.p/3"])
def test_attack_edit_a_hash_of_the_tree(taken: Path, name: str) -> None:
    data = bytearray((taken / name).read_bytes())
    data[40] ^= 4  # of the second hash
    (taken / name).write_bytes(data)
    redo_sums(taken)
    code, facts = judged(taken, taken.parent / "POLICY")
    assert (code, facts["fault"], facts["file"]) == (1, "E_TILE", name)
    assert facts["index"] == (1 if "/0/" in name else 256)


@pytest.mark.parametrize(
    "attack", [changed, without, swapped], ids=["edit", "delete", "reorder"]
)
def test_attack_recompute_everything_without_the_key(
    tmp_path: Path, stored: list[bytes], attack: Callable[..., list[bytes]]
) -> None:
    leaves = attack(stored, 301)
    leaves += logs.leaves([happened(n) for n in range(COUNT - len(leaves))], len(leaves))
    export = remade(tmp_path, leaves)
    (export / "checkpoint").write_bytes(head_of(stored).to_bytes())
    redo_sums(export)
    assert code_of(export) == (1, "E_ROOT")


def test_attack_truncate_and_leave_the_newer_checkpoint(
    tmp_path: Path, stored: list[bytes]
) -> None:
    export = remade(tmp_path, stored[:800])
    (export / "checkpoint").write_bytes(head_of(stored).to_bytes())
    redo_sums(export)
    assert code_of(export) == (1, "E_FORMAT")
    said = (export / "export.json").read_text().replace('"size": 800', f'"size": {COUNT}')
    (export / "export.json").write_text(said)
    redo_sums(export)
    assert code_of(export) == (1, "E_TILE")


def test_attack_rollback_is_seen_only_with_what_was_kept_elsewhere(
    tmp_path: Path, stored: list[bytes]
) -> None:
    export = remade(tmp_path, stored[:800], [250, 500, 750, 800])
    assert code_of(export) == (0, "")  # not detectable from the export alone
    assert code_of(export, "--anchor", kept_elsewhere(stored, 900, tmp_path)) == (
        1, "E_ROLLBACK",
    )  # fmt: skip
    assert code_of(export, "--min-size", "1000") == (1, "E_ROLLBACK")
    root = _root(stored, 900).hex()
    assert code_of(export, "--root", f"900:{root[:16]}") == (1, "E_ROLLBACK")


def _root(stored: Sequence[bytes], size: int) -> bytes:
    from base64 import b64decode  # noqa: PLC0415

    return b64decode(head_of(stored, size).text.split("\n")[2])


def test_attack_rollback_to_a_size_after_the_last_anchor_is_reported_as_not_anchored(
    tmp_path: Path, stored: list[bytes]
) -> None:
    export = remade(tmp_path, stored[:950], [])
    kept = kept_elsewhere(stored, 900, tmp_path)
    code, facts = judged(export, tmp_path / "POLICY", "--anchor", str(kept))
    assert (code, facts["remarks"]) == (3, [{"remark": "W_UNANCHORED_TAIL", "index": 900}])
    text = verify(str(export), "--policy", str(tmp_path / "POLICY"), "--anchor", str(kept))[1]
    assert "événements 900…949 signés mais non ancrés hors de l’appliance" in text
    assert code_of(export, "--anchor", kept, "--min-size", "1000") == (1, "E_ROLLBACK")


@pytest.mark.parametrize("attack", [changed, inserted], ids=["rewrite", "insert"])
def test_attack_with_the_stolen_key_below_an_anchor_is_a_fork(
    tmp_path: Path, stored: list[bytes], attack: Callable[..., list[bytes]]
) -> None:
    export = remade(tmp_path, attack(stored, 301))
    assert code_of(export) == (3, "W_NO_QUORUM")  # signed: only an anchor tells
    kept = kept_elsewhere(stored, 900, tmp_path)
    assert code_of(export, "--anchor", kept) == (1, "E_FORK")
    assert code_of(export, "--root", f"900:{_root(stored, 900).hex()}") == (1, "E_FORK")
    note = cosigned(head_of(stored, 900), exports.seconds(900))
    (export / "anchors").mkdir()
    (export / "anchors/900.note").write_bytes(note)  # carried along from an honest copy
    redo_sums(export)
    assert code_of(export) == (1, "E_FORK")


def test_attack_with_the_stolen_key_after_the_last_anchor_cannot_be_detected(
    tmp_path: Path, stored: list[bytes]
) -> None:
    export = remade(tmp_path, changed(stored, 951), ANCHORS)
    code, facts = judged(export, tmp_path / "POLICY")
    assert (code, facts["integrity"]) == (3, True)
    assert facts["remarks"] == [{"remark": "W_UNANCHORED_TAIL", "index": 900}]
    text = verify(str(export), "--policy", str(tmp_path / "POLICY"))[1]
    assert "Ne peut être vu ici : une clé volée employée après le dernier ancrage" in text


def test_attack_a_fork_shown_to_the_auditor_only(tmp_path: Path, stored: list[bytes]) -> None:
    export = remade(tmp_path, changed(stored, 951), ANCHORS)
    kept = kept_elsewhere(stored, COUNT, tmp_path)
    assert code_of(export, "--anchor", kept) == (1, "E_FORK")


def test_attack_signed_with_a_key_of_the_attacker(taken: Path, stored: list[bytes]) -> None:
    (taken / "checkpoint").write_bytes(head_of(stored, signer=THIEF).to_bytes())
    shutil.rmtree(taken / "anchors")
    redo_sums(taken)
    assert code_of(taken) == (1, "E_SIG")


def aged(leaf: bytes, seconds: int, *, mono: bool = True) -> bytes:
    """Return the leaf with another time."""
    shift = seconds * 1_000_000
    leaf = re.sub(rb'^\{"at":(\d+)', lambda m: b'{"at":%d' % (int(m[1]) + shift), leaf)
    if not mono:
        return leaf
    return re.sub(rb'"mono":(\d+)', lambda m: b'"mono":%d' % max(0, int(m[1]) + shift), leaf)


def test_attack_back_dating_contradicts_the_witness(
    tmp_path: Path, stored: list[bytes]
) -> None:
    leaves = [*stored[:920], *(aged(leaf, -3600) for leaf in stored[920:])]
    export = remade(tmp_path, leaves, [*ANCHORS, COUNT])
    code, facts = judged(export, tmp_path / "POLICY")
    assert (code, facts["fault"], facts["index"]) == (1, "E_TIME_BRACKET", 920)
    wide = judged(export, tmp_path / "POLICY", "--skew", "4000")
    assert (wide[0], wide[1]["remarks"][0]["remark"]) == (4, "W_CLOCK_STEP")  # never unseen


def test_a_clock_that_was_set_back_and_says_so_is_remarked(
    tmp_path: Path, stored: list[bytes]
) -> None:
    step = fact(Kind.CLOCK_STEP, "recorder", "step-000000000001", seconds=-3600)
    later = [aged(leaf, -3600, mono=False) for leaf in [logs.leaf(920, step), *stored[920:-1]]]
    leaves = renumbered([*stored[:920], *later])
    export = remade(tmp_path, leaves, [*ANCHORS, COUNT])
    code, facts = judged(export, tmp_path / "POLICY")
    assert (code, facts["remarks"]) == (4, [{"remark": "W_CLOCK_STEP", "index": 920}])


def test_attack_forward_dating_is_seen_at_the_next_anchor_only(
    tmp_path: Path, stored: list[bytes]
) -> None:
    leaves = [*stored[:999], aged(stored[999], 7200)]
    export = remade(tmp_path / "before", leaves, ANCHORS)
    code, facts = judged(export, tmp_path / "before/POLICY")
    assert (code, facts["integrity"]) == (3, True)  # not detectable yet
    export = remade(tmp_path / "after", leaves, [*ANCHORS, COUNT])
    assert code_of(export) == (1, "E_TIME_BRACKET")


def test_what_was_never_recorded_cannot_be_detected(tmp_path: Path) -> None:
    leaves = logs.leaves(logs.exchanges(400))  # some requests never reached the recorder
    export = remade(tmp_path, leaves, [len(leaves)])
    assert code_of(export) == (0, "")
    assert "une omission à la source" in verify(
        str(export), "--policy", str(tmp_path / "POLICY")
    )[1].replace("\n", " ")


# trust


def test_an_export_that_brings_its_own_key_never_ends_with_0(
    tmp_path: Path, stored: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest_policy = tmp_path / "POLICY"
    honest_policy.write_text(POLICY)
    monkeypatch.setattr(logs, "SIGNER", THIEF)
    monkeypatch.setattr(exports, "SIGNER", THIEF)
    export = exported(tmp_path / "theft", stored, []).folder
    assert judged(export, honest_policy)[0] == 1
    bundled = export / "keys/POLICY.example"
    code, text, facts = verify(str(export), "--policy", str(bundled))
    assert (code, facts["verdict"]) == (3, "not trusted")
    assert text.startswith("NON FIABLE / NOT TRUSTED")
    assert verify(str(export), "--trust-bundled-keys")[0] == 3
    anchor = str(export / "checkpoint")  # even if the export would anchor itself
    assert verify(str(export), "--trust-bundled-keys", "--anchor", anchor)[0] == 3
    copied = export / "anchors"
    copied.mkdir()
    shutil.copy(bundled, copied / "link")
    assert verify(str(export), "--policy", str(copied / "link"))[0] != 0


def test_without_a_policy_nothing_is_verified(taken: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        verify(str(taken))
    assert ended.value.code == 2
    code, _, facts = verify(str(taken), "--policy", str(taken / "no-such-file"))
    assert (code, facts["verdict"]) == (2, "unusable")
    assert verify(str(taken / "nowhere"), "--key", logs.VERIFIER_KEYS)[0] == 2


def test_a_policy_that_asks_no_witness_anchors_nothing(taken: Path) -> None:
    asked = POLICY.replace("quorum rssi", "quorum none")
    (taken.parent / "POLICY").write_text(asked)
    assert code_of(taken) == (3, "W_NO_QUORUM")
    code, _, facts = verify(str(taken), "--key", logs.VERIFIER_KEYS)
    assert (code, facts["remarks"][0]["remark"]) == (3, "W_NO_QUORUM")


@pytest.mark.parametrize("place", [0, 1], ids=["ed25519", "p256"])
def test_every_key_of_the_policy_has_to_have_signed(
    tmp_path: Path, stored: list[bytes], place: int
) -> None:
    export = remade(tmp_path, stored[:50], [50])
    gone = SIGNER.verifiers[place].key_id
    for name in ("checkpoint", "anchors/50.note"):
        note = Note.parse((export / name).read_bytes())
        left = tuple(one for one in note.signatures if one.key_id != gone)
        assert len(left) == 2
        (export / name).write_bytes(Note(note.text, left).to_bytes())
    redo_sums(export)
    assert code_of(export) == (1, "E_SIG")


def test_a_retired_and_a_revoked_key_hold_for_their_sizes_only(
    tmp_path: Path, stored: list[bytes]
) -> None:
    export = remade(tmp_path, stored[:50], [50])
    keys = [key.text() for key in SIGNER.verifiers]
    young = [key.text() for key in THIEF.verifiers]

    def ring(revoked: int | None, *rows: tuple[str, int, int | None, str]) -> str:
        bound = [
            dict(zip(("vkey", "from_size", "to_size", "status"), row, strict=True))
            for row in rows
        ]
        path = tmp_path / "keyring.json"
        said = {"v": 1, "origin": ORIGIN, "revoked_from_size": revoked, "keys": bound}
        path.write_text(json.dumps(said))
        return str(path)

    good = ring(None, *((key, 0, 50, "retired") for key in keys))
    assert code_of(export, "--keyring", good) == (0, "")
    ended = ring(None, *((key, 0, 49, "retired") for key in keys))
    assert code_of(export, "--keyring", ended) == (1, "E_SIG")
    stolen = ring(40, *((key, 0, 50, "revoked") for key in keys))
    assert code_of(export, "--keyring", stolen) == (1, "E_SIG")
    follows = ring(
        40, *((key, 0, 45, "revoked") for key in keys),
        *((key, 45, None, "active") for key in young),
    )  # fmt: skip
    note = cosigned(head_of(stored[:50], signer=THIEF), exports.seconds(50))
    for name in ("checkpoint", "anchors/50.note"):
        (export / name).write_bytes(note)
    redo_sums(export)
    code, facts = judged(export, tmp_path / "POLICY", "--keyring", follows)
    assert (code, facts["remarks"]) == (3, [{"remark": "W_UNPROVEN", "index": 40}])


# what LISEZMOI tells people to do


def steps(name: str) -> str:
    text = (files_of_templates() / name).read_text("utf-8")
    return "\n".join(re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE))


def files_of_templates() -> Path:
    return Path(contents.__file__).parent / "templates"


def follow(export: Path, name: str, digest: str = "") -> subprocess.CompletedProcess[bytes]:
    """Do what the page says, literally, where there are only stock tools."""
    words = {"LISEZMOI.txt": ("POLITIQUE", "EMPREINTE"), "README.txt": ("POLICY", "DIGEST")}[
        name
    ]
    policy = export.parent / "POLICY"
    values = dict(zip(words, (str(policy), digest or verifier_digest()), strict=True))
    values["TMPDIR"] = str(export.parent)
    argv = ["env", "-i", "PATH=/usr/bin:/bin", *(f"{k}={v}" for k, v in values.items())]
    return subprocess.run(
        [*argv, "sh", "-e", "-c", steps(name)], cwd=export, capture_output=True, check=False
    )


@pytest.mark.parametrize("name", ["LISEZMOI.txt", "README.txt"])
def test_the_steps_of_the_page_are_done_literally(taken: Path, name: str) -> None:
    done = follow(taken, name)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    said = done.stdout.decode()
    assert "Signature Verified Successfully" in said
    assert "Verified OK" in said
    assert said.endswith("\n".join((taken / "checkpoint").read_text().split("\n")[:3]) + "\n")


def test_the_steps_of_the_page_refuse_each_of_their_objects(
    taken: Path, stored: list[bytes]
) -> None:
    honest = {name: (taken / name).read_bytes() for name in ("checkpoint", "verify.py")}
    assert follow(taken, "LISEZMOI.txt", "0" * 64).returncode == 2
    doctored = b"import sys\nprint('Export int\xc3\xa8gre')\nsys.exit(0)\n"
    (taken / "verify.py").write_bytes(doctored)
    redo_sums(taken)
    assert follow(taken, "LISEZMOI.txt").returncode == 2
    (taken / "verify.py").write_bytes(honest["verify.py"])
    assert follow(taken, "LISEZMOI.txt").returncode != 0  # of SHA256SUMS
    (taken / "checkpoint").write_bytes(head_of(stored, signer=THIEF).to_bytes())
    redo_sums(taken)
    assert follow(taken, "LISEZMOI.txt").returncode == 1


def test_the_openssl_steps_alone_refuse_a_false_signature(
    taken: Path, stored: list[bytes]
) -> None:
    script = steps("LISEZMOI.txt")
    alone = script[script.index("ICI=") :]

    def run() -> int:
        argv = ["env", "-i", "PATH=/usr/bin:/bin", f"POLITIQUE={taken.parent / 'POLICY'}"]
        argv.append(f"TMPDIR={taken.parent}")
        return subprocess.run(
            [*argv, "sh", "-e", "-c", alone], cwd=taken, capture_output=True, check=False
        ).returncode

    assert run() == 0
    good, bad = head_of(stored), head_of(stored, signer=THIEF)
    for place in (0, 1):
        lines = list(good.signatures)
        lines[place] = Signature(
            lines[place].name, lines[place].key_id, bad.signatures[place].data
        )
        (taken / "checkpoint").write_bytes(Note(good.text, tuple(lines)).to_bytes())
        assert run() == 1


# signatures, a second time


def accepts(check: Callable[[bytes, bytes], Any], text: bytes, signature: bytes) -> bool:
    try:
        check(text, signature)
    except (VerificationError, FormatError, loaded().Bad):
        return False
    return True


def altered(data: bytes, rng: random.Random) -> bytes:
    bad = bytearray(data)
    bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    return bytes(bad)


def test_both_signature_checks_agree_with_the_library() -> None:
    rng = random.Random(7)  # noqa: S311 - the same keys each time
    program = loaded()
    for number in range(12):
        scalar = rng.randrange(1, 2**250).to_bytes(32, "big")
        signer = Signer("x.example", rng.randbytes(32), scalar)
        text = rng.randbytes(number * 9)
        for key, signature in signer.sign_all(text):
            said = program.Key(key.text())
            said.check(text, signature)
            tries = [(text + b"x", signature), (text, signature[:-1]), (text, b"")]
            tries += [(text, altered(signature, rng)) for _ in range(4)]
            for other, bad in tries:
                assert not accepts(key.verify, other, bad)
                assert not accepts(said.check, other, bad)


def test_a_signature_has_one_form() -> None:
    program = loaded()
    (key, signature), (other, der) = SIGNER.sign_all(b"text")
    raised = int.from_bytes(signature[32:], "little") + program.L
    twin = signature[:32] + raised.to_bytes(32, "little")  # the same, modulo the order
    assert not accepts(program.Key(key.text()).check, b"text", twin)
    long = der[:1] + bytes([der[1] + 1]) + der[2:] + b"\0"
    padded = der[:2] + b"\x02" + bytes([der[3] + 1]) + b"\0" + der[4:]
    padded = padded[:1] + bytes([len(padded) - 2]) + padded[2:]
    nothing = bytes.fromhex("3006020100020100")
    for bad in (long, padded, nothing, der + b"\0", der[:-1]):
        assert not accepts(program.Key(other.text()).check, b"text", bad)


@pytest.mark.parametrize(
    "text",
    [
        "", "a+b", "a+00000000+AQ==", logs.VERIFIER_KEY[:-4] + "AAAA",
        logs.VERIFIER_KEY.replace("demo", "demi"), logs.VERIFIER_KEY + "\n\n" + "x",
        logs.VERIFIER_KEYS + "\n" + logs.VERIFIER_KEY,
    ],
)  # fmt: skip
def test_a_malformed_key_verifies_nothing(taken: Path, text: str) -> None:
    path = taken.parent / "keys"
    path.write_text(text)
    assert verify(str(taken), "--key", str(path))[0] == 2


# bits


FLIPS = int(os.environ.get("CASEMATE_FLIPS", "1000"))  # more of them: make deep


@pytest.fixture(params=[pytest.param((20, 1), id="one-tile"), pytest.param((260, 8), id="two")])
def small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[Path, int]:
    """Return an export whose good signatures are checked once, and how many bits to flip."""
    for name in ("check_ed25519", "check_p256"):
        monkeypatch.setattr(loaded(), name, functools.cache(getattr(loaded(), name)))
    count, divided = request.param  # levels of tiles: one, two
    leaves = logs.leaves([happened(n) for n in range(count)])
    return remade(tmp_path, leaves, [count], formats=frozenset()), FLIPS // divided


def flips(export: Path, names: Sequence[str], count: int, seed: int) -> Iterator[str]:
    """Flip one bit after the other, each put back; small files as often as large ones."""
    rng = random.Random(seed)  # noqa: S311 - the same bits each time
    sizes = {name: (export / name).stat().st_size for name in names}
    for number in range(count):
        name = names[number % len(names)] if number % 2 else rng.choice(names)
        path, at = export / name, rng.randrange(8 * sizes[name])
        data = path.read_bytes()
        bad = bytearray(data)
        bad[at // 8] ^= 1 << at % 8
        path.write_bytes(bad)
        yield f"{name}, bit {at}"
        path.write_bytes(data)


def asked(export: Path) -> Any:
    argv = [str(export), "--policy", str(export.parent / "POLICY"), "--jobs", "1"]
    return loaded().options_of(argv)


def all_files(export: Path) -> list[str]:
    return sorted(p.relative_to(export).as_posix() for p in export.rglob("*") if p.is_file())


def test_any_bit_of_any_file_that_is_flipped_is_seen(small: tuple[Path, int]) -> None:
    export, count = small
    options = asked(export)
    for place in flips(export, all_files(export), count, seed=1):
        assert loaded().verify(options)[0] in {1, 2}, place
    assert loaded().verify(options)[0] == 0


def test_any_bit_of_the_evidence_is_seen_even_when_the_sums_are_redone(
    small: tuple[Path, int],
) -> None:
    export, count = small
    options, names = asked(export), all_files(export)
    evidence = [n for n in names if n.startswith(("checkpoint", "anchors", "tile"))]
    assert len(evidence) in {4, 7}
    sums = (export / contents.SUMS).read_bytes()
    for place in flips(export, evidence, count, seed=2):
        name = place.split(",")[0]
        now = hashlib.sha256((export / name).read_bytes()).hexdigest()
        lines = [f"{now}  {name}" if one[66:] == name else one
                 for one in sums.decode().splitlines()]  # fmt: skip
        (export / contents.SUMS).write_text("\n".join(lines) + "\n")
        code, _, facts = loaded().verify(options)
        assert code in {1, 3}, place
        assert facts.get("fault") != "E_SUMS", place
    (export / contents.SUMS).write_bytes(sums)
    assert loaded().verify(options)[0] == 0


def test_a_derived_file_that_differs_is_named_with_its_line(taken: Path) -> None:
    for name in ("events.jsonl", "events.csv", "events.ocsf.jsonl"):
        path = taken / name
        data = path.read_bytes()
        lines = data.splitlines(keepends=True)
        row = 301 if name == "events.csv" else 300
        bad = lines[row].replace(b"casemate", b"casemats", 1)
        path.write_bytes(b"".join([*lines[:row], bad, *lines[row + 1 :]]))
        redo_sums(taken)
        code, facts = judged(taken, taken.parent / "POLICY")
        assert (code, facts["fault"], facts["index"]) == (1, "E_DERIVED", 300)
        assert facts["file"] == name
        assert sum(map(len, lines[:row])) < facts["offset"] < sum(map(len, lines[: row + 1]))
        for damage in (data[:-1], data + b"{}\n", data[: len(data) // 2], data + b" ", b""):
            path.write_bytes(damage)
            redo_sums(taken)
            assert code_of(taken) == (1, "E_DERIVED"), damage[-40:]
        path.write_bytes(data)
        redo_sums(taken)
    assert code_of(taken) == (0, "")


# malformed


def signed(text: str) -> bytes:
    return sign(text, SIGNER).to_bytes()


GOOD = head_of(logs.leaves(events(50)))
SIZE_LINE, ROOT_LINE = GOOD.text.split("\n")[1:3]
LINE = GOOD.signatures[0].line().encode()


def other_bytes(note: bytes, old: bytes, new: bytes) -> bytes:
    assert old in note
    return note.replace(old, new, 1)


NOTES: dict[str, bytes] = {
    "crlf": GOOD.to_bytes().replace(b"\n", b"\r\n"),
    "no-final-newline": GOOD.to_bytes()[:-1],
    "control-character": other_bytes(GOOD.to_bytes(), b"demo\n", b"demo\x01\n"),
    "a-signature-twice": GOOD.to_bytes() + LINE,
    "known-key-bad-signature": Note(
        GOOD.text, (*GOOD.signatures, Signature(ORIGIN, SIGNER.verifier.key_id, bytes(64)))
    ).to_bytes(),
    "seventeen-signatures": Note(
        GOOD.text,
        (*GOOD.signatures, *(Signature("x", bytes(4), bytes([n])) for n in range(15))),
    ).to_bytes(),
    "name-with-plus": GOOD.to_bytes() + "— a+b AAAAAAA=\n".encode(),
    "base64-without-padding": GOOD.to_bytes() + "— a AAAAAAA\n".encode(),
    "base64-stray-bits": GOOD.to_bytes() + "— a AAAAAAB=\n".encode(),
    "not-utf8": GOOD.to_bytes() + b"\xff",
    "size-with-zeros": signed(GOOD.text.replace(f"\n{SIZE_LINE}\n", "\n007\n")),
    "size-too-large": signed(GOOD.text.replace(f"\n{SIZE_LINE}\n", f"\n{2**63}\n")),
    "size-negative": signed(GOOD.text.replace(f"\n{SIZE_LINE}\n", "\n-1\n")),
    "root-of-31-bytes": signed(GOOD.text.replace(ROOT_LINE, "A" * 41 + "A=="[1:])),
    "root-without-padding": signed(GOOD.text.replace(ROOT_LINE, ROOT_LINE.rstrip("="))),
    "extension-line": signed(GOOD.text + "more\n"),
    "another-log": sign(
        GOOD.text.replace(ORIGIN, "audit.example/other"),
        Signer("audit.example/other", logs.SEED, logs.P256),
    ).to_bytes(),
    "nothing": b"",
}


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fifty")
    return remade(folder, logs.leaves(events(50)))


@pytest.mark.parametrize("name", NOTES)
def test_a_malformed_head_is_refused(fifty: Path, tmp_path: Path, name: str) -> None:
    export = shutil.copytree(fifty, tmp_path / "export")
    (tmp_path / "POLICY").write_text(POLICY)
    (export / "checkpoint").write_bytes(GOOD.to_bytes())
    redo_sums(export)
    assert code_of(export) == (3, "W_NO_QUORUM")
    (export / "checkpoint").write_bytes(NOTES[name])
    redo_sums(export)
    assert code_of(export) == (1, "E_SIG")


def _edit(path: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(export: Path) -> None:
        (export / path).write_bytes(change((export / path).read_bytes()))

    return edit


def _add(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "bundle-with-a-byte-more": (_edit("tile/entries/000.p/50", lambda d: d + b"\0"), "E_LEAF"),
    "length-past-the-end": (_edit("tile/entries/000.p/50", lambda d: d[:-1]), "E_LEAF"),
    "an-entry-more": (_edit("tile/entries/000.p/50", lambda d: d + b"\0\0"), "E_LEAF"),
    "no-bundle": (lambda e: (e / "tile/entries/000.p/50").unlink(), "E_LEAF"),
    "tile-too-short": (_edit("tile/0/000.p/50", lambda d: d[:-32]), "E_TILE"),
    "tile-too-long": (_edit("tile/0/000.p/50", lambda d: d + bytes(32)), "E_TILE"),
    "no-tile": (lambda e: (e / "tile/0/000.p/50").unlink(), "E_TILE"),
    "tile-named-full": (
        lambda e: (e / "tile/0/000.p/50").rename(e / "tile/0/000"), "E_TILE",
    ),
    "one-tile-more": (lambda e: (e / "tile/0/001").write_bytes(bytes(8192)), "E_TILE"),
    "one-bundle-more": (
        lambda e: _add(e / "tile/entries/001.p/1", b"\0\0"), "E_TILE",
    ),
    "anchor-of-another-name": (
        lambda e: _add(e / "anchors/49.note", (e / "checkpoint").read_bytes()), "E_SIG",
    ),
    "range-larger-than-said": (
        _edit("export.json", lambda d: d.replace(b'"from": 0', b'"from": 3')), "E_DERIVED",
    ),
    "formats-untold": (
        _edit("export.json", lambda d: d.replace(b'\n  "csv",', b"")), "E_DERIVED",
    ),
    "description-of-another-log": (
        _edit("export.json", lambda d: d.replace(b"demo", b"demi")), "E_FORMAT",
    ),
    "description-unreadable": (_edit("export.json", lambda d: d[:-9]), "E_FORMAT"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_malformed_export_is_refused(fifty: Path, tmp_path: Path, name: str) -> None:
    export = shutil.copytree(fifty, tmp_path / "export")
    (tmp_path / "POLICY").write_text(POLICY)
    damage, fault = DAMAGES[name]
    damage(export)
    redo_sums(export)
    assert code_of(export) == (1, fault)


@pytest.mark.parametrize(
    "policy",
    [
        "", "quorum none\n", POLICY[:-1], POLICY.replace("quorum rssi\n", ""),
        POLICY.replace("quorum rssi", "quorum other"), POLICY.replace("log ", "logs ", 1),
        POLICY + "log x\n", POLICY.replace("+", "-", 1), POLICY.replace("rssi ", "none ", 1),
        POLICY.replace("quorum", f"{POLICY.splitlines()[0]}\nquorum"),
    ],
)  # fmt: skip
def test_a_malformed_policy_verifies_nothing(taken: Path, policy: str) -> None:
    (taken.parent / "POLICY").write_text(policy)
    assert code_of(taken)[0] == 2


def test_a_later_format_is_not_judged(taken: Path) -> None:
    said = (taken / "export.json").read_text().replace('"v": 1', '"v": 2')
    (taken / "export.json").write_text(said)
    redo_sums(taken)
    assert code_of(taken)[0] == 2


GOOD_LEAF = logs.leaf(1, happened(1))
LEAVES: dict[str, bytes] = {
    "a-space": GOOD_LEAF.replace(b'"at":', b'"at": '),
    "a-key-twice": GOOD_LEAF.replace(b'"uid":0', b'"uid":1,"uid":0'),
    "keys-in-another-order": GOOD_LEAF.replace(b'"actor":"ada","id"', b'"id"').replace(
        b'"type":"casemate.rag.open.v1"', b'"type":"casemate.rag.open.v1","actor":"ada"'
    ),
    "a-fraction": GOOD_LEAF.replace(b'"uid":0', b'"uid":0.5'),
    "a-truth-value": GOOD_LEAF.replace(b'"uid":0', b'"uid":false'),
    "not-a-number": GOOD_LEAF.replace(b'"uid":0', b'"uid":NaN'),
    "too-large": GOOD_LEAF.replace(b'"uid":0', b'"uid":9223372036854775808'),
    "another-index": logs.leaf(2, happened(1)),
    "a-field-more": GOOD_LEAF.replace(b'"uid":0', b'"uid":0,"zone":1'),
    "no-type": GOOD_LEAF.replace(b"casemate.rag.open.v1", b"rag.open"),
    "not-json": b"record",
    "not-utf8": GOOD_LEAF.replace(b"ada", b"\xff\xfe\xfd"),
    "too-deep": b"[" * 60_000,
    "nothing": b"",
    "followed-by-more": GOOD_LEAF + b" ",
    "data-that-is-none": GOOD_LEAF.replace(b'"actor":"ada"', b'"actor":"ada","data":[]'),
}


@pytest.mark.parametrize("name", LEAVES)
def test_a_signed_record_that_is_none_is_a_fault_at_its_place(
    tmp_path: Path, name: str
) -> None:
    honest = logs.leaves([happened(n) for n in range(3)])
    export = remade(tmp_path, honest, [], formats=frozenset())
    leaves = [honest[0], LEAVES[name], honest[2]]
    assert LEAVES[name] != honest[1]
    (export / "tile/entries/000.p/3").write_bytes(encode_bundle(leaves))
    (export / "tile/0/000.p/3").write_bytes(b"".join(map(leaf_hash, leaves)))
    (export / "checkpoint").write_bytes(head_of(leaves).to_bytes())
    redo_sums(export)
    code, facts = judged(export, tmp_path / "POLICY")
    assert (code, facts["fault"], facts["index"]) == (1, "E_FORMAT", 1)
    assert (facts["file"], facts["offset"]) == ("tile/entries/000.p/3", 4 + len(honest[0]))


# completeness


def test_a_request_without_an_end_is_remarked_once_it_is_old(tmp_path: Path) -> None:
    leaves = logs.leaves([logs.budget(), logs.intent(1), logs.intent(2), logs.completion(2)])
    assert code_of(remade(tmp_path / "young", leaves, [4])) == (0, "")
    leaves = [*leaves, aged(logs.leaf(4, happened(4)), 1000)]
    export = remade(tmp_path / "old", leaves, [])
    code, facts = judged(
        export, tmp_path / "old/POLICY", "--root", f"5:{_root(leaves, 5).hex()}"
    )
    assert (code, facts["remarks"]) == (4, [{"remark": "W_ORPHAN_INTENT", "index": 1}])


@pytest.mark.parametrize(
    "made",
    [
        [logs.budget(), logs.completion(1)],
        [logs.budget(), logs.intent(1), logs.completion(1), logs.completion(1)],
        [logs.budget(), logs.intent(1), logs.intent(1)],
    ],
    ids=["end-without-beginning", "two-ends", "two-beginnings"],
)
def test_what_the_recorder_never_admits_is_a_fault(tmp_path: Path, made: list[Event]) -> None:
    leaves = logs.leaves(made)
    export = remade(tmp_path, leaves, [len(leaves)])
    assert code_of(export)[0] == 1


def test_heartbeats_make_a_silence_visible(tmp_path: Path) -> None:
    beat = fact(Kind.AUDIT_HEARTBEAT, "recorder", "beat-000000000001", every=60)
    leaves = [logs.leaf(0, beat), aged(logs.leaf(1, happened(1)), 170)]
    note = f"2:{_root(leaves, 2).hex()}"
    export = remade(tmp_path / "kept", leaves, [])
    assert code_of(export, "--root", note) == (0, "")
    leaves = [leaves[0], aged(logs.leaf(1, happened(1)), 190)]
    export = remade(tmp_path / "silent", leaves, [])
    assert code_of(export, "--root", f"2:{_root(leaves, 2).hex()}") == (4, "W_GAP")


def test_what_an_honest_log_says_of_itself_is_remarked(tmp_path: Path) -> None:
    made = [
        fact(Kind.AUDIT_START, "recorder", "said-000000000001", previous_shutdown="crash"),
        fact(Kind.AUDIT_DEGRADED, "recorder", "said-000000000002", disk="low"),
        fact(Kind.AUDIT_LOSS, "forwarder", "said-000000000003", count=4),
    ]
    export = remade(tmp_path, logs.leaves(made), [3])
    code, facts = judged(export, tmp_path / "POLICY")
    assert (code, [one["remark"] for one in facts["remarks"]]) == (
        4, ["W_DEGRADED", "W_LOSS"],
    )  # fmt: skip
    assert facts["crashes"] == 1  # said, and no remark: an honest log survives them
    over = [
        fact(Kind.AUDIT_DEGRADED, "recorder", "over-000000000002", disk="plenty"),
        fact(Kind.AUDIT_DEGRADED, "recorder", "over-000000000004", disk="warn"),
        fact(Kind.AUDIT_LOSS, "forwarder", "over-000000000003", count=0),
    ]
    assert code_of(remade(tmp_path / "over", logs.leaves(over), [3])) == (0, "")


def test_findings_are_those_of_the_verification_of_a_whole_log(tmp_path: Path) -> None:
    """The program is a second implementation: random histories give the same findings."""
    rng = random.Random(3)  # noqa: S311 - the same histories each time
    for number in range(12):
        leaves = history(rng)
        export = remade(tmp_path / str(number), leaves, [])
        _, facts = judged(export, tmp_path / str(number) / "POLICY")
        found = sorted(
            (one["remark"], one["index"])
            for one in facts["remarks"]
            if one["remark"] in {"W_COUNTER", "W_GAP", "W_DEGRADED", "W_LOSS"}
        )
        watch = Watch()
        wanted = [one for leaf in leaves for one in watch.step(Leaf.parse(leaf))]
        assert found == sorted((str(one.remark), one.record) for one in wanted)
        assert found or number


def history(rng: random.Random) -> list[bytes]:
    """Return requests, heartbeats that count them well or badly, stops, silences."""
    leaves: list[bytes] = [logs.leaf(0, logs.budget())]
    waiting: list[int] = []
    at = served = begun = 0
    while len(leaves) < 60:
        index = len(leaves)
        event: Event
        match rng.randrange(8):
            case 0 | 1 | 2:
                begun += 1
                waiting.append(begun)
                event = logs.intent(begun)
            case 3 | 4 if waiting:
                served += 1
                event = logs.completion(waiting.pop(rng.randrange(len(waiting))))
            case 5:
                event = fact(Kind.AUDIT_STOP, "recorder", f"stop-{index:016d}")
            case _:
                served += rng.random() < 0.1  # one that nobody recorded
                event = fact(
                    Kind.AUDIT_HEARTBEAT, "beats", f"beat-{index:016d}", every=60,
                    size=index - rng.randrange(min(index, 4)), engine_0="extraits",
                    requests_0=served, since_0=1 if rng.random() < 0.9 else 2,
                )  # fmt: skip
        at += rng.choice([1, 1, 50, 100, 200])
        leaves.append(aged(logs.leaf(index, event), at))
    return leaves


def test_an_engine_that_served_more_than_was_recorded_is_remarked(tmp_path: Path) -> None:
    def beat(number: int, size: int, requests: int) -> Event:
        return fact(
            Kind.AUDIT_HEARTBEAT, "beats", f"beat-{number:016d}", every=60, size=size,
            engine_0="extraits", requests_0=requests, since_0=7,
        )  # fmt: skip

    said = [logs.budget(), beat(1, 1, 40), logs.intent(1), logs.completion(1)]
    good = logs.leaves([*said, beat(2, 4, 41)])
    assert code_of(remade(tmp_path / "good", good, [5])) == (0, "")
    bad = logs.leaves([*said, beat(2, 4, 42)])  # one more than the log saw begin
    assert code_of(remade(tmp_path / "bad", bad, [5])) == (4, "W_COUNTER")


def test_records_that_were_asked_for_and_are_not_there(taken: Path) -> None:
    assert code_of(taken, "--from", "0", "--to", str(COUNT - 1)) == (0, "")
    assert code_of(taken, "--to", str(COUNT)) == (1, "E_RANGE")


def test_files_beside_the_export_are_named_and_not_judged(taken: Path) -> None:
    (taken / "mes notes.txt").write_text("vu le 23")
    code, facts = judged(taken, taken.parent / "POLICY")
    assert (code, facts["not_checked"]) == (0, ["mes notes.txt"])


@pytest.mark.parametrize("kind", ["link", "link-to-a-folder", "pipe"])
def test_what_is_no_plain_file_is_a_fault_and_is_not_opened(taken: Path, kind: str) -> None:
    if kind == "link":
        (taken / "rapport").symlink_to("/dev/zero")
    elif kind == "link-to-a-folder":
        (taken / "anchors").rename(taken.parent / "anchors")
        (taken / "anchors").symlink_to(taken.parent / "anchors")
    else:
        os.mkfifo(taken / "rapport")
    assert code_of(taken) == (1, "E_SUMS")


def test_a_file_longer_than_any_of_an_export_is_not_read_whole(
    taken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded(), "READ_MAX", 50_000)
    code, facts = judged(taken, taken.parent / "POLICY")
    assert (code, facts["fault"], facts["file"]) == (1, "E_LEAF", "tile/entries/000")


def test_several_processes_give_the_same_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded(), "CHUNK", 1)
    leaves = logs.leaves(events())
    export = remade(tmp_path, leaves, [COUNT], first=100, last=950)
    argv = (str(export), "--policy", str(tmp_path / "POLICY"), "--jobs")
    one, three = verify(*argv, "1"), verify(*argv, "3")
    assert one == three
    assert one[0] == 0
    lines = (export / "events.csv").read_bytes().replace(b'"940"', b'"941"', 1)
    (export / "events.csv").write_bytes(lines)
    redo_sums(export)
    facts = verify(*argv, "3")[2]
    assert (facts["fault"], facts["index"]) == ("E_DERIVED", 940)
    assert verify(*argv, "1")[2] == facts
    assert os.getpid()

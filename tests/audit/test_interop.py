"""Others judge our logs: Go's own `note` and `tlog`, and openssl.

The Go program is beside this file; its one module is locked by hash in `go.sum`. Built into
`build/go`, from the module proxy that the machine is configured with.
"""

import base64
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.audit.key import Signer
from appliance.audit.note import Note
from appliance.audit.publisher import Publisher
from appliance.audit.tile import node_from_tiles, tiles_of
from appliance.audit.tree import Frontier, consistency_path
from tests.audit import logs

HERE = Path(__file__).parent / "interop"
BUILD = Path(__file__).parents[2] / "build" / "go"
SIZES = [1, 2, 255, 256, 257, 65_537]


@pytest.fixture(scope="module")
def verifier() -> Path:
    program = BUILD / "interop"
    go = shutil.which("go") or shutil.which("go", path="/usr/lib/go/bin:/usr/local/go/bin")
    assert go, "Go is missing: apt-get install golang-go"
    settings = {
        "GOPATH": str(BUILD / "path"), "GOCACHE": str(BUILD / "cache"), "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -modcacherw", "GOTOOLCHAIN": "local",
        "GOSUMDB": "off",  # go.sum binds the module
    }  # fmt: skip
    BUILD.mkdir(parents=True, exist_ok=True)
    argv = [go, "build", "-trimpath", "-o", str(program), "."]
    done = subprocess.run(
        argv, cwd=HERE, env={**os.environ, **settings}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return program


def record(n: int) -> bytes:
    return b'{"n":%d}' % n


@functools.cache
def root(size: int) -> bytes:
    frontier = Frontier()
    for n in range(size):
        frontier.add(record(n))
    return frontier.root()


class Log:
    """A published log of small records, and what Go is asked about it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        self.published: Publisher = logs.publish(folder, [record(n) for n in range(size)])
        self.directory = folder / "log"
        self.question: dict[str, Any] = {
            "Dir": str(self.directory), "Key": logs.VERIFIER_KEY, "Proofs": [],
            "Consistency": [],
        }  # fmt: skip

    def prove(self, *indexes: int) -> None:
        for index in indexes:
            path = self.directory.with_name(f"{index}.tlog-proof")
            path.write_bytes(self.published.prove(index).with_extra(b"{}").to_bytes())
            self.question["Proofs"].append(str(path))

    def extend(self, *earlier: int) -> None:
        def hashes(tile: Any) -> list[bytes]:
            data = (self.directory / tile.path).read_bytes()
            return [data[at : at + 32] for at in range(0, len(data), 32)]

        node = node_from_tiles(self.size, hashes)
        for size in earlier:
            path = consistency_path(size, self.size, node)
            self.question["Consistency"].append(
                {"Size": size, "Root": _base64(root(size)), "Path": [_base64(h) for h in path]}
            )

    def judged(self, program: Path) -> str:
        done = subprocess.run(
            [program], input=json.dumps(self.question).encode(), capture_output=True,
            check=False,
        )  # fmt: skip
        output = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == (0 if output == "ACCEPTED\n" else 1), output
        return output


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("size", SIZES)
def test_go_accepts_checkpoint_tiles_records_and_proofs(
    verifier: Path, tmp_path: Path, size: int
) -> None:
    log = Log(tmp_path, size)
    assert len(list(tiles_of(size))) >= 1
    log.prove(*{0, size // 3, size // 2, size - 1, 255 % size, 256 % size})
    log.extend(*{n for n in (1, 2, 255, 256, 257, size - 1, size) if 0 < n <= size})
    assert log.judged(verifier) == "ACCEPTED\n"


def _flip(path: Path, at: int) -> None:
    data = path.read_bytes()
    at %= len(data)
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def _checkpoint_size(log: Log) -> None:
    path = log.directory / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"\n300\n", b"\n299\n"))


def _swapped_bundle(log: Log) -> None:
    path = log.directory / "tile/entries/001.p/44"
    data = path.read_bytes()
    entry = 2 + len(record(256))
    path.write_bytes(data[entry : 2 * entry] + data[:entry] + data[2 * entry :])


def _proof_index(log: Log) -> None:
    path = Path(log.question["Proofs"][0])
    path.write_bytes(path.read_bytes().replace(b"\nindex 7\n", b"\nindex 8\n"))


def _proof_path(log: Log) -> None:
    path = Path(log.question["Proofs"][0])
    lines = path.read_bytes().split(b"\n")
    lines[3], lines[4] = lines[4], lines[3]
    path.write_bytes(b"\n".join(lines))


def _consistency(log: Log) -> None:
    log.question["Consistency"][0]["Root"] = _base64(bytes(32))


TAMPERINGS: dict[str, Callable[[Log], object]] = {
    "size in the checkpoint": _checkpoint_size,
    "root in the checkpoint": lambda log: _flip(log.directory / "checkpoint", 30),
    "signature of the checkpoint": lambda log: _flip(log.directory / "checkpoint", -10),
    "key of another": lambda log: log.question.update(
        Key=Signer(logs.ORIGIN, bytes(32)).verifier.text()
    ),
    "leaf hash": lambda log: _flip(log.directory / "tile/0/000", 99),
    "upper hash": lambda log: _flip(log.directory / "tile/1/000.p/1", 3),
    "record": lambda log: _flip(log.directory / "tile/entries/000", 5),
    "two records swapped": _swapped_bundle,
    "bundle away": lambda log: (log.directory / "tile/entries/001.p/44").unlink(),
    "index of a proof": _proof_index,
    "path of a proof": _proof_path,
    "earlier tree": _consistency,
}


@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_go_refuses_what_was_tampered_with(
    verifier: Path, tmp_path: Path, tamper: Callable[[Log], object]
) -> None:
    log = Log(tmp_path, 300)
    log.prove(7)
    log.extend(256)
    assert log.judged(verifier) == "ACCEPTED\n"
    tamper(log)
    assert log.judged(verifier).startswith("REFUSED:")


# openssl, on the bytes of the note alone


def openssl(folder: Path, text: bytes, signature: bytes) -> int:
    public = bytes.fromhex("302a300506032b6570032100") + logs.SIGNER.verifier.public
    files: Sequence[tuple[str, bytes]] = [("key", public), ("text", text), ("sig", signature)]
    for name, data in files:
        (folder / name).write_bytes(data)
    argv = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key"]
    argv += ["-rawin", "-in", "text", "-sigfile", "sig"]
    return subprocess.run(argv, cwd=folder, capture_output=True, check=False).returncode


def test_openssl_accepts_the_signature_and_no_other(tmp_path: Path) -> None:
    note = Note.parse(Log(tmp_path, 3).published.note)
    text, (signature,) = note.text.encode(), note.signatures
    assert openssl(tmp_path, text, signature.data) == 0
    assert openssl(tmp_path, text.replace(b"\n3\n", b"\n2\n"), signature.data) != 0
    assert openssl(tmp_path, text, bytes(64)) != 0

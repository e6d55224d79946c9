"""Go judges our logs: its own `note` and `tlog`. Other judges are in `test_judges.py`.

The program is in `interop`; its one module is locked by hash in `go.sum`, and comes from the
module proxy that the machine is configured with.
"""

import base64
import functools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.audit.key import Signer
from appliance.audit.publisher import Publisher
from appliance.audit.tile import node_from_tiles, tiles_of
from appliance.audit.tree import Frontier, consistency_path
from tests.audit import judges, logs

SIZES = [1, 2, 255, 256, 257, 65_537]


@pytest.fixture(scope="module")
def verifier() -> Path:
    return judges.go()


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
            "Dir": str(self.directory), "Keys": logs.VERIFIER_KEYS.split("\n"), "Proofs": [],
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
        Keys=[Signer(logs.ORIGIN, bytes(32)).verifier.text()]
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

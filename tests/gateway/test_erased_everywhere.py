"""After an erasure the content is nowhere: disks, PostgreSQL, its WAL, the last backup.

Texts are never written in the clear, so that looking for planted sentences finds nothing before
either; what an erasure removes is the key. Each search is first shown to find what is there:
the ciphertext in the files of PostgreSQL and in its backup, the sealed key beside the log. A
backup of PostgreSQL may be kept for ever: it holds no key. A backup of the store of keys opens
what it holds as long as it exists: it is kept for 30 days at most (DESIGN 6).
"""

import asyncio
import base64
import mmap
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from appliance.audit import volume
from appliance.audit.content import open_sealed
from appliance.audit.event import Kind, fact
from appliance.audit.key import Verifier, verifier_key
from appliance.audit.proof import Proof
from appliance.audit.reading.month_keys import MonthKeys
from appliance.audit.sealed import SealedKeys
from appliance.audit.verify import EXIT_WHOLE, Trust, verify
from appliance.errors import VerificationError
from appliance.site import postgres
from tests import recording
from tests.gateway.engine import engine
from tests.gateway.stand import Site, eventually, gateway

QUESTION = "Le numéro planté du dossier Vulcain est le 4312-Ardoise."
ANSWER = ["La réponse plantée désigne ", "le quai Malaquais."]
PLANTED = [QUESTION, "4312-Ardoise", "".join(ANSWER), "quai Malaquais"]
SEALED_HEAD = 45  # version, ephemeral key, nonce
ENCODINGS = ("utf-8", "utf-16-le", "latin-1")


def holders(pattern: bytes, *folders: Path) -> list[Path]:
    """Return the files below the folders that hold the bytes."""
    files = (path for folder in folders for path in sorted(folder.rglob("*")))
    return [path for path in files if path.is_file() and _holds(path, pattern)]


def _holds(path: Path, pattern: bytes) -> bool:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(pattern) >= 0


def plain(*folders: Path) -> list[Path]:
    """Return the files that hold a planted sentence, or a part of one."""
    patterns = {text.encode(encoding) for text in PLANTED for encoding in ENCODINGS}
    return [path for pattern in patterns for path in holders(pattern, *folders)]


def asked_and_kept(site: Site, server: str) -> tuple[int, bytes]:
    """Ask; return the record and the ciphertext of the question."""
    reading = make_conninfo(server, dbname=conninfo_to_dict(site.database)["dbname"])

    async def main() -> tuple[int, bytes]:
        async with engine(site.engine) as chat:
            chat.words = ANSWER
            async with gateway(site, reader_key=f'"{site.folder}/reader.pub"') as ana:
                status, body, _ = await ana.chat(QUESTION)
                assert status == 200
                record = int(body["casemate"]["receipt"]["index"])
                await eventually(lambda: asyncio.to_thread(is_kept, record))
                return record, ciphertext(record)

    def is_kept(record: int) -> bool:
        return bool(ciphertext(record))

    def ciphertext(record: int) -> bytes:
        with psycopg.connect(reading) as conn:
            found = conn.execute(
                "SELECT question FROM content WHERE record = %s", [record]
            ).fetchone()
        return bytes(found[0]) if found else b""

    return asyncio.run(main())


def backed_up(server: str, into: Path) -> Path:
    """Take a base backup of the whole cluster, its WAL included."""
    argv = [str(postgres.binaries() / "pg_basebackup"), "-d", server, "-D", str(into)]
    subprocess.run([*argv, "-X", "stream", "-c", "fast"], check=True, capture_output=True)
    return into


def data_folder(server: str) -> Path:
    """Return the folder of the cluster, everything written to it."""
    with psycopg.connect(server, autocommit=True) as conn:
        (found,) = conn.execute("SHOW data_directory").fetchone() or ("",)
        conn.execute("CHECKPOINT")
    return Path(found)


def erase(site: Site, server: str, record: int) -> None:
    """Erase a content as the worker does."""
    asked = fact(Kind.CONTENT_ERASE, "worker", "erase-".ljust(20, "-"), first=0, end=record + 1)
    name = conninfo_to_dict(site.database)["dbname"]
    with (
        recording.RawClient(site.log.socket) as client,
        psycopg.connect(server, dbname=name) as conn,
    ):
        conn.execute("DELETE FROM content WHERE record = %s", [record])
        assert not client.append(asked).get("error")
        assert client.ask("sealed", index=record)["error"] == VerificationError.code


def told(site: Site, record: int) -> tuple[bytes, dict[str, str]]:
    """Return the sealed key of a record, and its leaf and proof."""
    with recording.RawClient(site.log.socket) as client:
        sealed = base64.b64decode(client.ask("sealed", index=record)["body"]["sealed"])
        return sealed, client.ask("prove", index=record)["body"]


def start_again(site: Site) -> None:
    """Stop the recorder and start it; its start is signed too."""
    recording.stop(site.recorder)
    site.recorder = recording.start(site.log)
    with recording.RawClient(site.log.socket) as client:
        client.ask("prove", index=client.ask("status")["body"]["size"] - 1)


def check_proofs(log: Path, record: int, proved: dict[str, str]) -> None:
    """Check that what was proved is proved still: by the receipt of before, and in the log."""
    leaf, proof = (base64.b64decode(proved[name]) for name in ("leaf", "proof"))
    verifier = Verifier.parse(verifier_key(recording.ORIGIN, recording.SEED))
    head = Proof.parse(proof).verify(leaf, verifier)
    assert verify(log, Trust([verifier], [head], {record: leaf})).exit_code == EXIT_WHOLE


@pytest.mark.process
def test_an_erased_content_is_nowhere_and_what_is_left_opens_with_no_key(
    site: Site, server: str, tmp_path: Path
) -> None:
    (months := site.folder / "months").mkdir()
    keys = MonthKeys(months, bytes(32))
    (site.folder / "reader.pub").write_bytes(keys.make("2026-11"))
    record, question = asked_and_kept(site, server)
    log, data = site.log.directory, data_folder(server)
    backup = backed_up(server, tmp_path / "backup")
    sealed, proved = told(site, record)
    store = shutil.copytree(log / "sealed", tmp_path / "store")
    everywhere = [site.folder, log.parent, data, backup]

    # The searches find what is there; the sentences are never in the clear.
    assert keys.open(sealed).decrypt("question", question) == QUESTION
    assert holders(sealed, log) == [log / "sealed" / "0000000000000000"]
    kept_in = {part for path in holders(question, data) for part in path.parts}
    assert kept_in >= {"base", "pg_wal"}
    assert holders(question, backup)
    assert plain(*everywhere) == []

    erase(site, server, record)
    start_again(site)
    assert plain(*everywhere) == []
    assert holders(sealed, *everywhere) == []
    assert holders(sealed[SEALED_HEAD:], *everywhere) == []  # what wraps the key, in any file
    assert holders(question, backup)  # a ciphertext, and no key

    check_proofs(log, record, proved)

    # The store as its own backup holds it opens still, to both recipients: 30 days at most.
    size = site.log.segment_bytes // volume.SEALED_PART
    kept = SealedKeys(store, size).read(record)
    assert keys.open(kept).decrypt("question", question) == QUESTION
    assert open_sealed(site.history_key, kept).decrypt("question", question) == QUESTION
    with pytest.raises(VerificationError, match="was destroyed"):
        SealedKeys(log / "sealed", size).read(record)

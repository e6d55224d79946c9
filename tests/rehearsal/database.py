"""The tests of SQL and of need-to-know, against the PostgreSQL of the machine.

A cluster of its own, made by the machine's programs with the site's settings and thrown away
after: the tests make and drop databases and roles, and the site's are spared. Its one socket is
in the machine; the tests reach it from outside, through the root of the first process.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.rehearsal.machine import Machine, RehearsalError

TESTS = (
    "tests/db", "tests/rag/test_need_to_know.py", "tests/rag/test_documents.py",
    "tests/rag/test_retrieve.py", "tests/rag/test_store.py", "tests/rag/test_deposit.py",
    "tests/rag/test_retention.py", "tests/rag/test_jobs.py", "tests/identity/test_store.py",
    "tests/gateway/test_store.py", "tests/console/test_store.py",
)  # fmt: skip
UNIT, DATA, SOCKETS = "proof-database", "/var/lib/postgresql/proof", "/run/proof-database"
PROGRAMS = "/usr/lib/postgresql/17/bin"
SETTINGS = "/etc/postgresql/17/main/conf.d/casemate.conf"
MAJOR = 170_000


def prove(box: Machine, sources: Path) -> dict[str, Any]:
    """Run the tests of these sources; return how many passed, on which PostgreSQL and pgvector.

    Raises:
        RehearsalError: One failed, was skipped, or the server is not of the machine.
    """
    with cluster(box) as server:
        with psycopg.connect(server) as conn:
            version = conn.info.server_version
            (vector,) = conn.execute(
                "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
            ).fetchone() or ("",)
        if not MAJOR <= version < MAJOR + 10_000:
            raise RehearsalError(f"not the machine's PostgreSQL: {version}")
        said = _tests(server, sources)
    counted = re.search(r"^(\d+) passed(?:, \d+ deselected)? in", said, re.MULTILINE)
    if counted is None:
        raise RehearsalError(said[-4000:])
    return {"passed": int(counted[1]), "postgresql": version, "pgvector": vector}


@contextmanager
def cluster(box: Machine) -> Iterator[str]:
    """Lend a cluster of the machine's PostgreSQL, as the address of its superuser."""
    make = [f"{PROGRAMS}/initdb", "-D", DATA, "-U", "postgres", "-A", "trust", "--no-sync"]
    make += ["--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
    start = [f"{PROGRAMS}/postgres", "-D", DATA, "-c", "listen_addresses="]
    start += ["-c", f"unix_socket_directories={SOCKETS}"]
    unit = ["systemd-run", "--quiet", "--property=User=postgres"]
    notify = ["--property=Type=notify", f"--property=RuntimeDirectory={Path(SOCKETS).name}"]
    try:
        box.run(*unit, "--wait", "--pipe", "--", *make)
        with (box.root / DATA[1:] / "postgresql.conf").open("a") as settings:
            settings.write(f"include '{SETTINGS}'\n")
        box.run(*unit, *notify, f"--unit={UNIT}", "--", *start)
        host = f"{box.seen_from_here}{SOCKETS}"
        yield f"postgresql://postgres@/postgres?host={host}"
    finally:
        box.run("systemctl", "stop", UNIT, check=False)
        box.run("rm", "-rf", DATA)


def _tests(server: str, sources: Path) -> str:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "db", *TESTS]
    named = os.environ | {"CASEMATE_TEST_DSN": server, "CI": "true"}
    done = subprocess.run(
        argv, capture_output=True, text=True, cwd=sources, env=named, check=False, timeout=600
    )
    if done.returncode:
        raise RehearsalError(done.stdout[-4000:] + done.stderr[-2000:])
    return done.stdout

"""Who may write which events on a site: each row is what that process writes, and no more.

What a module writes is read from its source: an entry of `Kind`, a type in full, or the name of
one of the structs of requests. A module that names a type and is in neither table fails.
"""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.audit.desk import ANY, READ, SEALED
from appliance.audit.event import HOT, OWN, TYPES, Kind, type_of
from appliance.settings import RecorderSettings, load
from tests.playbooks.rendering import ROLES, render

PACKAGE = Path(__file__).parents[2] / "appliance"
STRUCTS = {struct.__name__: type_of(struct) for struct in HOT}

# Module to the processes that run it and write what it names.
WRITERS = {
    "app.py": {"gateway"},
    "console/pages/anchors.py": {"console"},
    "console/pages/documents.py": {"console"},
    "console/pages/exports.py": {"console"},
    "console/pages/journal.py": {"console"},
    "console/pages/record.py": {"console"},
    "console/pages/sample.py": {"console"},
    "console/questions.py": {"console"},
    "gateway/call.py": {"gateway"},
    "gateway/commands.py": {"rack"},
    "gateway/consent.py": {"gateway"},
    "gateway/embedding.py": {"gateway"},
    "gateway/hot.py": {"gateway"},
    "gateway/loads.py": {"gateway"},
    "gateway/refusals.py": {"gateway"},
    "gateway/routes.py": {"gateway"},
    "gateway/switch.py": {"rack"},
    "identity/events.py": {"events"},
    "identity/routes.py": {"console"},
    "install/logged.py": {"rack"},
    "rag/elimination/rounds.py": {"worker"},
    "rag/ingest.py": {"worker"},
    "rag/retention.py": {"worker"},
    "site/apply.py": {"rack"},
    "site/rack/uses.py": {"rack"},
}
TRAIL = {  # of the domain of the log itself: processes beside the recorder
    "audit/anchoring/answer.py": {"feeder", "rack"},
    "audit/anchoring/feeder.py": {"feeder"},
    "audit/anchoring/paper_commands.py": {"rack"},
    "audit/export_commands.py": {"rack"},
    "audit/forward/forwarder.py": {"forwarder"},
    "audit/heartbeat_commands.py": {"heartbeat"},
    "audit/exporting/writing.py": {"worker"},
    "audit/reading/reader.py": {"reader"},
    "audit/reading/serving.py": {"reader"},
}
READERS = {  # they show what others wrote
    "console/history.py",
    "console/pages/visit.py",
    "console/records.py",
    "console/terminal.py",
    "console/trail/story.py",
}


def named(source: str) -> set[str]:
    """Return the types that a source names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in Kind.__members__:
            if ast.unparse(node.value).endswith("Scope"):  # what a person may do, named alike
                continue
            found.add(str(Kind[node.attr]))
        elif isinstance(node, ast.Constant) and node.value in TYPES:
            found.add(str(node.value))
        elif isinstance(node, ast.Name) and node.id in STRUCTS:
            found.add(STRUCTS[node.id])
    return found


NAMED = {
    name: types
    for path in PACKAGE.rglob("*.py")
    if ((name := path.relative_to(PACKAGE).as_posix()) in TRAIL or name[:6] != "audit/")
    and (types := named(path.read_text("utf-8")))
}
VARIABLES = yaml.safe_load((ROLES / "recorder" / "vars" / "main.yml").read_text("utf-8"))
CLIENTS: dict[str, dict[str, Any]] = {
    client["name"]: client for client in VARIABLES["__recorder_clients"]
}


def test_a_type_is_seen_however_it_is_written() -> None:
    assert named("tell(Kind.RAG_OPEN)") == {"casemate.rag.open.v1"}
    assert named("X = 'casemate.key.issue.v1'") == {"casemate.key.issue.v1"}
    assert named("end(call, Interrupted)") == {"casemate.llm.interrupted.v1"}
    assert named("print('casemate', Kind, other.name)") == set()
    assert named("check(principal.Scope.CONTENT_APPROVE)") == set()


def test_each_module_that_names_a_type_is_known_to_write_or_to_read_it() -> None:
    assert NAMED.keys() == WRITERS.keys() | TRAIL.keys() | READERS
    assert not WRITERS.keys() & READERS


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_each_type_that_a_process_writes_is_in_its_row_and_no_other(name: str) -> None:
    modules = [module for module, processes in (WRITERS | TRAIL).items() if name in processes]
    written = set().union(*(NAMED[module] for module in modules))
    assert set(CLIENTS[name]["types"]) - {READ, SEALED} == written


def test_the_console_reads_leaves_and_keys_of_content_and_root_leaves() -> None:
    words = {name: {READ, SEALED} & set(row["types"]) for name, row in CLIENTS.items()}
    assert words == {
        "gateway": set(),
        "console": {READ, SEALED},
        "reader": {READ, SEALED},
        "events": set(),
        "feeder": set(),
        "forwarder": {READ},
        "heartbeat": set(),
        "indexer": {READ},
        "worker": set(),
        "rack": {READ},  # receipts; it reads the files anyway
    }


def test_nobody_may_write_everything_nor_what_the_recorder_says_of_itself() -> None:
    for row in CLIENTS.values():
        assert set(row["types"]) <= TYPES | {READ, SEALED}
        assert not set(row["types"]) & {ANY, *OWN}


def test_what_a_gateway_says_of_a_request_nobody_else_may_say() -> None:
    for name, row in CLIENTS.items():
        requests = [kind for kind in row["types"] if kind.startswith("casemate.llm.")]
        assert bool(requests) == (name == "gateway")


def test_the_recorder_reads_the_table_that_the_role_writes(tmp_path: Path) -> None:
    path = tmp_path / "recorder.toml"
    given = {"recorder_origin": "site.example/log", "recorder_time_zone": "Europe/Paris"}
    path.write_text(render("recorder", "recorder.toml.j2", given))
    clients = load(path, RecorderSettings).clients
    assert clients == {row["uid"]: frozenset(row["types"]) for row in CLIENTS.values()}
    assert clients.keys() == {0, 882, 883, 884, 892, 893, 894, 895, 896, 897}

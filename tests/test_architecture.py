"""The shape of the code, stated as tests. ARCHITECTURE.md gives the reasons."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "appliance"
MODULES = sorted(PACKAGE.rglob("*.py"))

# domain -> domains it may import. A new arrow is a design decision: it needs an ADR.
# The console reaches models by HTTP, through the gateway: no arrow. The recorder runs
# the admission of the ledger; what identity and ledger want recorded is handed over by app.py,
# since an arrow from them to audit would close a circle.
MAY_IMPORT = {
    "db": set[str](),
    "printing": set[str](),
    "bundle": set[str](),  # what proves a release runs before anything of it is installed
    "identity": {"db"},
    "ledger": {"db", "identity"},
    "audit": {"db", "identity", "ledger", "printing"},  # sheet, report: 0062
    "rag": {"db", "identity", "audit"},
    "gateway": {"db", "identity", "audit", "ledger", "rag"},
    # The supervisor of the demo and `site apply` drive the parts: docs/decisions/0001.
    "site": {"db", "identity", "audit", "ledger", "rag"},
    "console": {"db", "identity", "audit", "ledger", "rag", "site"},
    "install": {"db", "audit", "bundle", "printing"},
}
ABOVE_DOMAINS = {"app.py", "cli.py"}  # they wire everything
BELOW_DOMAINS = {
    "errors.py", "front_settings.py", "logs.py", "parts.py", "settings.py", "trail_errors.py",
    "trail_settings.py",
}  # fmt: skip

# I/O is the exception: by the name that says so, or listed here for what it does.
IMPURE_NAMES = {"store.py", "routes.py", "commands.py"}
IMPURE = {
    "audit/contents.py",
    "audit/envelope.py",
    "audit/export.py",
    "audit/lining.py",
    "audit/training.py",
    "audit/export_commands.py",
    "bundle/reading.py",
    "bundle/pack.py",
    "bundle/memory.py",
    "bundle/medium.py",
    "bundle/importing.py",
    "bundle/copying.py",
    "bundle/chunks.py",
    "audit/checkpoints.py",
    "audit/client.py",
    "audit/desk.py",
    "audit/peer.py",
    "audit/questions.py",
    "audit/sealed.py",
    "audit/segments.py",
    "audit/writer.py",
    "audit/archive.py",
    "audit/erased_marks.py",
    "audit/erasure.py",
    "audit/exporting/writing.py",
    "audit/falsify.py",
    "audit/index/indexer.py",
    "audit/index/reconcile.py",
    "audit/verify.py",
    "audit/prune_commands.py",
    "audit/pruned.py",
    "audit/pruning.py",
    "audit/publisher.py",
    "audit/rotation.py",
    "audit/rotation_commands.py",
    "audit/reading/client.py",
    "audit/reading/month_keys.py",
    "audit/reading/reader.py",
    "audit/reading/serving.py",
    "audit/recorder.py",
    "audit/volume.py",
    "audit/forward/collector.py",
    "audit/forward/delivery.py",
    "audit/forward/forwarder.py",
    "audit/anchoring/feeder.py",
    "audit/anchoring/copy_commands.py",
    "audit/anchoring/copying.py",
    "audit/anchoring/kept.py",
    "audit/anchoring/paper_commands.py",
    "audit/anchoring/asking.py",
    "audit/witness/memory.py",
    "audit/witness/serving.py",
    "audit/ancestry.py",
    "audit/epoch_commands.py",
    "audit/heartbeat_commands.py",
    "audit/lineage.py",
    "audit/maintenance.py",
    "audit/succession.py",
    "bundle/apt.py",
    "bundle/build.py",
    "bundle/build_commands.py",
    "bundle/compose.py",
    "bundle/fetch.py",
    "bundle/given_folder.py",
    "bundle/model_folder.py",
    "bundle/release_tree.py",
    "bundle/sources.py",
    "console/assets.py",
    "console/context.py",
    "console/credentials.py",
    "console/failures.py",
    "console/gateway.py",
    "console/health.py",
    "console/history.py",
    "console/pages/anchors.py",
    "console/pages/contents.py",
    "console/pages/documents.py",
    "console/pages/exports.py",
    "console/pages/eliminations.py",
    "console/pages/journal.py",
    "console/pages/keys.py",
    "console/pages/models.py",
    "console/pages/question.py",
    "console/pages/receipt.py",
    "console/pages/record.py",
    "console/pages/sample.py",
    "console/pages/session.py",
    "console/pages/visit.py",
    "console/questions.py",
    "console/render.py",
    "console/routing.py",
    "console/talk.py",
    "console/trail/listing.py",
    "console/terminal.py",
    "gateway/departures.py",
    "gateway/dispatch.py",
    "gateway/documents.py",
    "gateway/embedding.py",
    "gateway/engines.py",
    "gateway/health.py",
    "gateway/history.py",
    "gateway/hot.py",
    "gateway/loads.py",
    "gateway/recipients.py",
    "gateway/recording.py",
    "gateway/reply.py",
    "gateway/rulings.py",
    "gateway/server.py",
    "gateway/switch.py",
    "gateway/upkeep.py",
    "gateway/upstream.py",
    "identity/access.py",
    "identity/bearer.py",
    "identity/follow.py",
    "identity/keyring.py",
    "identity/login.py",
    "identity/operator.py",
    "identity/policy.py",
    "identity/provision.py",
    "identity/revocation.py",
    "identity/session.py",
    "identity/directory.py",
    "install/carried.py",
    "install/container.py",
    "install/explain.py",
    "install/installing.py",
    "install/logged.py",
    "install/machine.py",
    "install/places.py",
    "install/playbook.py",
    "install/record.py",
    "install/rehearse.py",
    "install/seal.py",
    "install/work.py",
    "printing/press.py",
    "printing/typeset.py",
    "rag/deposit.py",
    "rag/documents.py",
    "rag/embed.py",
    "rag/engine_commands.py",
    "rag/importing.py",
    "rag/ingest.py",
    "rag/jobs.py",
    "rag/objects.py",
    "rag/parse.py",
    "rag/retention.py",
    "rag/retrieve.py",
    "rag/sandbox.py",
    "rag/worker.py",
    "site/keycloak.py",
    "site/apply.py",
    "site/credentials.py",
    "site/demo.py",
    "site/folder.py",
    "site/machine.py",
    "site/early.py",
    "site/postgres.py",
    "site/programs.py",
    "site/rack/people.py",
    "site/rack/uses.py",
    "site/setup.py",
    "site/smoke.py",
    "site/supervisor.py",
    "site/visitor.py",
}
IMPURE_IMPORTS = {
    "aiohttp", "asyncio", "fastapi", "fcntl", "httpx", "keycloak", "os", "pathlib", "psycopg",
    "psycopg_pool", "secrets", "socket", "subprocess", "time",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today"}
WITHOUT_OWN_TEST = {"app.py", "errors.py", "trail_errors.py"}


def imports(module: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def methods_called(module: Path) -> set[str]:
    calls = (n.func for n in ast.walk(ast.parse(module.read_text())) if isinstance(n, ast.Call))
    return {f.attr for f in calls if isinstance(f, ast.Attribute)}


def name(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def domain(module: Path) -> str:
    return name(module).split("/")[0] if "/" in name(module) else ""


IN_DOMAINS = [m for m in MODULES if domain(m)]
BELOW_WIRING = [m for m in MODULES if name(m) not in ABOVE_DOMAINS]
WITHOUT_SQL = [m for m in IN_DOMAINS if m.name != "store.py" and domain(m) != "db"]
PURE = [
    m
    for m in IN_DOMAINS
    if domain(m) != "db" and m.name not in IMPURE_NAMES and name(m) not in IMPURE
]


def test_the_table_names_each_domain_and_has_no_circle() -> None:
    assert {domain(m) for m in IN_DOMAINS} <= MAY_IMPORT.keys()
    assert set().union(*MAY_IMPORT.values()) <= MAY_IMPORT.keys()
    TopologicalSorter(MAY_IMPORT).prepare()


def test_a_module_outside_the_domains_is_above_or_below_them() -> None:
    top = {name(m) for m in MODULES if not domain(m) and m.name != "__init__.py"}
    assert top == ABOVE_DOMAINS | BELOW_DOMAINS


@pytest.mark.parametrize("module", BELOW_WIRING, ids=name)
def test_domains_import_only_what_the_table_allows(module: Path) -> None:
    used = {i.split(".")[1] for i in imports(module) if i.startswith("appliance.")}
    allowed = MAY_IMPORT[domain(module)] | {domain(module)} if domain(module) else set[str]()
    assert used & MAY_IMPORT.keys() <= allowed
    assert not used & {path.removesuffix(".py") for path in ABOVE_DOMAINS}


@pytest.mark.parametrize("module", WITHOUT_SQL, ids=name)
def test_sql_lives_in_stores(module: Path) -> None:
    assert not methods_called(module) & {"execute", "executemany", "copy"}


@pytest.mark.parametrize("module", PURE, ids=name)
def test_a_module_is_pure_unless_its_name_says_otherwise(module: Path) -> None:
    assert not {i.split(".")[0] for i in imports(module)} & IMPURE_IMPORTS
    assert not methods_called(module) & CLOCKS


def test_the_list_of_exceptions_has_no_entry_too_many() -> None:
    listed = [m for m in MODULES if name(m) in IMPURE]
    assert {name(m) for m in listed} == IMPURE
    for module in listed:
        assert {i.split(".")[0] for i in imports(module)} & IMPURE_IMPORTS


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_modules_stay_short(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400


def test_tests_mirror_the_package() -> None:
    tested = [m for m in MODULES if m.name != "__init__.py" and name(m) not in WITHOUT_OWN_TEST]
    expected = {
        ROOT / "tests" / m.relative_to(PACKAGE).parent / f"test_{m.name}" for m in tested
    }
    assert {path for path in expected if not path.exists()} == set()

"""Nobody acts without an event that is named, and no type is there that nobody writes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from typer.main import get_command

from appliance.audit import catalogue
from appliance.audit.event import FACTS, OWN, TYPES, Kind
from appliance.audit.verdict import Language
from appliance.cli import app
from appliance.console.routing import assemble
from appliance.gateway.routes import router
from appliance.gateway.server import HOT_PATH
from appliance.install.phases import PHASES
from tests import trail_table as table
from tests.trail_table import Nothing, Says, Written

ROOT = Path(__file__).parents[1]
PLAYBOOKS = ROOT / "playbooks"
PACKAGE = ROOT / "appliance"
EVERY: dict[str, Says] = {
    **{f"console {name}": says for name, says in table.CONSOLE.items()},
    **{f"gateway {name}": says for name, says in table.GATEWAY.items()},
    **{f"casemate {name}": says for name, says in table.COMMANDS.items()},
    **table.OTHERS,
}
WRITTEN = {name: says for name, says in EVERY.items() if isinstance(says, Written)}


def routes_of(routes: Any) -> Iterator[str]:
    """Yield method and path of each route, also of routers inside."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from routes_of(route.original_router.routes)
        elif getattr(route, "methods", None):
            yield from (f"{method} {route.path}" for method in sorted(route.methods))
        else:
            yield f"MOUNT {route.path}"


def commands_of(command: Any, *above: str) -> Iterator[str]:
    """Yield each command by its words, also those that are hidden."""
    if not hasattr(command, "list_commands"):
        yield " ".join(above)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from commands_of(command.get_command(context, name), *above, name)


def test_each_route_of_the_console_is_in_the_table_and_nothing_else() -> None:
    console: Any = assemble(None)._app  # type: ignore[arg-type]
    assert set(routes_of(console.routes)) == table.CONSOLE.keys()


def test_each_route_of_the_gateway_is_in_the_table_and_nothing_else() -> None:
    found = set(routes_of(router.routes))
    assert f"POST {HOT_PATH}" in found
    assert found == table.GATEWAY.keys()


def test_each_command_is_in_the_table_and_nothing_else() -> None:
    assert set(commands_of(get_command(app))) == table.COMMANDS.keys()


def test_each_unit_runs_a_command_of_the_table_or_says_why_it_is_silent() -> None:
    found: dict[str, str] = {}
    for path in PLAYBOOKS.glob("roles/*/templates/*.j2"):
        name = path.name.removesuffix(".j2")
        if re.search(r"\.(service|timer|socket|path)\Z", name):
            found[name] = path.read_text("utf-8")
    assert found.keys() == table.UNITS.keys() | table.SILENT_UNITS.keys()
    for name, command in table.UNITS.items():
        run = re.search(r"^ExecStart=(?:\{\{.*?\}\}|\S+) (.+)$", found[name], re.MULTILINE)
        assert run, name
        assert run[1].startswith(command), name
        assert command in table.COMMANDS


def test_every_run_of_every_playbook_tells_what_it_changed() -> None:
    settings = (PLAYBOOKS / "ansible.cfg").read_text("utf-8")
    assert "callbacks_enabled = casemate_report" in settings
    assert "callback_plugins = plugins/callback" in settings
    played = {path.name for path in PLAYBOOKS.glob("*.yml")}
    assert played >= {phase.playbook for phase in PHASES if phase.playbook}
    roles = {path.name for path in (PLAYBOOKS / "roles").iterdir() if path.is_dir()}
    run = re.findall(r"^\s+(?:- role|name): (\w+)$", _text_of(played), re.MULTILINE)
    assert roles <= set(run), "a role that no playbook runs would change nothing of a site"


def test_each_phase_of_an_installation_is_told() -> None:
    test = WRITTEN["casemate install"].test
    assert "phase" in (ROOT / test.split("::")[0]).read_text("utf-8")
    assert "install.phase" in WRITTEN["casemate install"].types
    assert len(PHASES) == len({phase.name for phase in PHASES})


def _text_of(playbooks: set[str]) -> str:
    return "\n".join((PLAYBOOKS / name).read_text("utf-8") for name in sorted(playbooks))


@pytest.mark.parametrize("action", sorted(WRITTEN))
def test_the_test_of_an_action_is_there(action: str) -> None:
    file, _, name = WRITTEN[action].test.partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
    assert name.split("[")[0] in functions


def test_what_writes_nothing_says_why() -> None:
    silent = [says for says in EVERY.values() if isinstance(says, Nothing)]
    assert all(len(says.why) > 15 for says in silent)
    assert all(len(why) > 15 for why in table.SILENT_UNITS.values())


def test_each_type_is_produced_by_an_action_or_reserved_for_a_later_one() -> None:
    produced = {f"casemate.{name}.v1" for says in WRITTEN.values() for name in says.types}
    later = {kind for kind, one in catalogue.entries().items() if one.later}
    assert produced | later == TYPES
    assert not produced & later, "it is no longer reserved: say in the catalogue who writes it"


def test_no_code_writes_what_is_reserved() -> None:
    later = [kind for kind, one in catalogue.entries().items() if one.later]
    names = {Kind(kind).name for kind in later}
    for path in PACKAGE.rglob("*.py"):
        if path.name not in {"event.py", "precedence.py"}:
            text = path.read_text("utf-8")
            assert not [name for name in names if f"Kind.{name}" in text], path


# The list for people.


def test_the_list_names_every_type() -> None:
    assert catalogue.entries().keys() == TYPES


def test_the_list_says_who_writes_what_as_the_recorder_lets_them() -> None:
    path = PLAYBOOKS / "roles" / "recorder" / "vars" / "main.yml"
    clients = yaml.safe_load(path.read_text("utf-8"))["__recorder_clients"]
    for kind, one in catalogue.entries().items():
        may = {client["name"] for client in clients if kind in client["types"]}
        own = {"recorder"} if kind in OWN else set[str]()
        assert set(one.by) - {"recorder"} == may, kind
        assert own <= set(one.by), kind


@pytest.mark.parametrize(
    ("file", "language"), [("evenements.fr.md", Language.FR), ("events.en.md", Language.EN)]
)
def test_the_page_is_the_one_that_the_command_prints(file: str, language: Language) -> None:
    page = (ROOT / "docs" / file).read_text("utf-8")
    assert page == catalogue.page(language), "casemate audit events --language … > docs/…"


def facts_named(path: Path) -> Iterator[tuple[str, str]]:
    """Yield type and field of each `fact(Kind.X, …, field=…)` of a module."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        first = node.args[0]
        if isinstance(first, ast.Attribute) and first.attr in Kind.__members__:
            for keyword in node.keywords:
                if keyword.arg not in {None, "label", "request"}:
                    yield str(Kind[first.attr]), str(keyword.arg)


def test_the_list_names_each_field_that_the_code_writes() -> None:
    found = {one for path in PACKAGE.rglob("*.py") for one in facts_named(path)}
    assert len(found) > 40
    unknown = [(k, f) for k, f in found if k in FACTS and not catalogue.is_documented(k, f)]
    assert not unknown

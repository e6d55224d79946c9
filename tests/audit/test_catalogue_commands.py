import json

import pytest
from typer.testing import CliRunner

from appliance.audit.commands import app
from appliance.audit.event import TYPES


@pytest.mark.parametrize(
    ("language", "title"),
    [("fr", "# Événements du journal\n"), ("en", "# Events of the log\n")],
)
def test_the_list_is_printed_as_a_page(language: str, title: str) -> None:
    done = CliRunner().invoke(app, ["events", "--language", language])
    assert (done.exit_code, done.stdout.startswith(title)) == (0, True)


def test_programs_get_every_type_with_its_class() -> None:
    found = json.loads(CliRunner().invoke(app, ["events", "--json"]).stdout)
    assert {one["type"] for one in found["types"]} == TYPES
    assert {one["class_uid"] // 1000 for one in found["types"]} == {3, 6}

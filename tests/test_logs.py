import json
import logging
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from click.testing import CliRunner

from appliance import logs
from appliance.cli import commands_of
from appliance.errors import ApplianceError

SERVERS = {  # command, and the module that reads its settings
    ("gateway", "serve"): "appliance.gateway.commands",
    ("console", "serve"): "appliance.console.commands",
    ("worker", "run"): "appliance.rag.commands",
    ("engine", "serve"): "appliance.rag.engine_commands",
    ("audit", "recorder"): "appliance.audit.commands",
}


def line_of(log: Callable[[logging.Logger], None]) -> dict[str, Any]:
    caught: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            caught.append(self.format(record))

    logger = logging.Logger("appliance.x")  # noqa: LOG001 - of this test alone
    logger.addHandler(keep := Keep())
    keep.setFormatter(logs.JsonLines())
    log(logger)
    (text,) = caught
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_is_an_object_with_the_event_and_its_fields() -> None:
    line = line_of(lambda log: log.warning("jobs queued again", extra={"jobs": 3}))
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "appliance.x",
        "event": "jobs queued again",
        "jobs": 3,
    }


def test_a_field_that_json_does_not_know_becomes_text_and_a_line_stays_one() -> None:
    line = line_of(lambda log: log.error("a\nb %s", {1}, extra={"what": {2}}))
    assert (line["event"], line["what"]) == ("a\nb {1}", "{2}")


def failing(error: Exception) -> Callable[[logging.Logger], None]:
    def fail(log: logging.Logger) -> None:
        try:
            raise error  # noqa: TRY301
        except Exception:
            log.exception("defect")

    return fail


def test_the_words_of_a_defect_stay_out_since_they_may_quote_content() -> None:
    line = line_of(failing(ValueError("Dupont, 1 85 05 78 006 084 36")))
    assert "Dupont" not in json.dumps(line)
    (found,) = line["exceptions"]
    assert found["type"] == "ValueError"
    assert found["places"][0].endswith(" fail")


@pytest.mark.parametrize("error", [ApplianceError("no key"), OSError("no key")])
def test_the_words_of_what_may_be_shown_are_there(error: Exception) -> None:
    assert line_of(failing(error))["exceptions"][0]["words"] == "no key"


def test_the_cause_is_there_too() -> None:
    error = ApplianceError("outer")
    error.__cause__ = KeyError("inner")
    assert [e["type"] for e in line_of(failing(error))["exceptions"]] == [
        "ApplianceError",
        "KeyError",
    ]


@pytest.mark.parametrize("command", SERVERS, ids=" ".join)
def test_every_process_of_ours_writes_json_lines(
    command: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def load(*_: object) -> None:
        told.append("settings")
        raise ApplianceError("enough")

    monkeypatch.setattr(logs, "to_standard_error", lambda: told.append("logs"))
    monkeypatch.setattr(import_module(SERVERS[command]), "load", load)
    CliRunner().invoke(commands_of(command[0]), [command[1], "--settings", "x.toml"])
    assert told == ["logs", "settings"]


def test_libraries_are_heard_from_a_warning_on_and_ours_from_what_is_worth_knowing() -> None:
    code = (
        "import logging; from appliance import logs; logs.to_standard_error()\n"
        "logging.getLogger('other').info('a'); logging.getLogger('other').warning('b')\n"
        "logging.getLogger('appliance.y').info('c')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events == ["b", "c"]

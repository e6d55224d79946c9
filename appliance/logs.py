"""Log lines of our processes: one JSON object a line on standard error.

A line holds the time (UTC), the level, the logger, the event and the fields that the code gave.
It holds no content: of an exception that is not made to be shown, the type and the places stay,
not the words, which may quote what a person wrote.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

from appliance.errors import ApplianceError

_SHOWN = (ApplianceError, OSError)  # their words name files, parts and codes
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


class JsonLines(logging.Formatter):
    """Makes a line of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; what JSON does not know becomes its text."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info and record.exc_info[1]:
            line["exceptions"] = _chain(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def _chain(exc: BaseException | None) -> list[dict[str, object]]:
    """Return an exception and those before it, the last first."""
    found: list[dict[str, object]] = []
    while exc is not None and len(found) < 8:  # noqa: PLR2004 - enough to read
        frames = traceback.extract_tb(exc.__traceback__)
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        one: dict[str, object] = {"type": type(exc).__qualname__, "places": places}
        if isinstance(exc, _SHOWN):
            one["words"] = str(exc)
        found.append(one)
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return found


def to_standard_error() -> None:
    """Have this process write JSON lines: warnings of all, and ours worth knowing."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("appliance").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)

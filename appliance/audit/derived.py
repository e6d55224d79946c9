"""Records as lines for other programs: JSON Lines, and CSV for spreadsheets. Pure.

Derived forms, never evidence: each line carries the index and the leaf hash of its record, by
which it is tied to the log; whoever verifies an export makes the lines again from the records.
A line of JSON has 4 000 bytes at most, since common collectors cut longer ones: of a longer
record it keeps who, what and when, and says `truncated`. A cell of CSV is never a formula.

One record is one line, whatever it holds: control characters become spaces in CSV.
"""

import functools
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from appliance.audit.event import Leaf, encode

LINE_BYTES_MAX = 4_000  # final newline included
COLUMNS = (
    "index", "time", "type", "actor", "request", "id", "label", "model", "outcome", "reason",
    "status", "prompt_tokens", "completion_tokens", "details", "uid", "leaf",
)  # fmt: skip
CSV_HEADER = ("\ufeff" + ";".join(f'"{name}"' for name in COLUMNS) + "\n").encode()
"""The mark of UTF-8 and semicolons: what a spreadsheet set to French opens as it is."""

_FIELDS = COLUMNS[3:13]  # those that are fields of an event
_OWN = {"type", *_FIELDS}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC; written with its Z
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # in their wide forms too
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_is_plain = re.compile(
    '[^"\x00-\x1f\x7f\x85\u2028\u2029=+@\uff1d\uff0b\uff0d\uff20\\s-]'
    '[^"\x00-\x1f\x7f\x85\u2028\u2029]*\\Z'
).match

Json = dict[str, Any]


def json_line(stored: bytes, digest: bytes) -> bytes:
    """Return a record as a line of JSON Lines.

    Args:
        stored: The record as it was hashed.
        digest: Its leaf hash, base64.
    """
    end = stored.rindex(b',"mono":', len(stored) - 70)
    index = stored[stored.rindex(b":", 0, end) + 1 : end]
    line = b'{"idx":%b,"leaf":"%b","record":%b}\n' % (index, digest, stored)
    if len(line) <= LINE_BYTES_MAX:
        return line
    leaf: Json = msgspec.json.decode(stored)
    event: Json = leaf["event"]
    fields = ("actor", "id", "request", "type")
    kept = {key: event[key] for key in fields if event.get(key) is not None}
    short = encode({**leaf, "event": kept})
    return b'{"idx":%b,"leaf":"%b","record":%b,"truncated":true}\n' % (index, digest, short)


def csv_line(leaf: Leaf, digest: bytes) -> bytes:
    """Return a record as a line of CSV, every cell in quotes.

    Args:
        leaf: As it was parsed from its canonical bytes.
        digest: Its leaf hash, base64.
    """
    event: Json = msgspec.to_builtins(leaf.event)
    data: Mapping[str, Any] = event.pop("data", {})
    own = {**data, **event} if data else event
    details = {key: value for key, value in event.items() if key not in _OWN}
    if rest := {k: v for k, v in data.items() if k not in _OWN or k in event}:
        details["data"] = rest
    cells = [f'"{leaf.index}";"{moment(leaf.at)}";"{event["type"]}"']
    for name in _FIELDS:
        value = own.get(name, "")
        if type(value) is int and value >= 0:  # the common case, and no formula
            cells.append(f'"{value}"')
        else:
            cells.append('""' if value is None or value == "" else cell(str(value)))
    # JSON escapes control characters but three, and begins with a brace.
    text = _CONTROL.sub(" ", encode(details).decode()) if details else ""
    quoted = text.replace('"', '""')
    cells.append(f'"{quoted}";"{leaf.uid}";"{digest.decode()}"\n')
    return ";".join(cells).encode()


def moment(at: int) -> str:
    """Return microseconds since 1970 as a time, UTC; out of range as they are."""
    second, rest = divmod(at, 1_000_000)
    try:
        return f"{_second(second)}.{rest:06d}Z"
    except OverflowError:
        return str(at)


@functools.lru_cache(maxsize=8)  # records of one second stand together
def _second(at: int) -> str:
    return (_EPOCH + timedelta(seconds=at)).isoformat(timespec="seconds")


def cell(text: str) -> str:
    """Return a cell in quotes that no spreadsheet takes for a formula."""
    if _is_plain(text):
        return f'"{text}"'
    text = _CONTROL.sub(" ", text)
    if text.lstrip().startswith(_FORMULA):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"'

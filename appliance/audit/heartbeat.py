"""What others counted, for a heartbeat of the log: read from their pages of metrics.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/. Engines count the requests
that they ended, for whatever reason: vLLM per model, ours in all. haproxy counts those that it
handed to the gateways. A count that is not there is left out: a heartbeat says what could be
read, and nothing else. What Keycloak counts is followed event by event, in `identity`. Pure.
"""

import re
from collections.abc import Iterator, Mapping

Data = dict[str, str | int]

ENDED = ("vllm:request_success_total", "casemate_engine_requests_total")
STARTED = "process_start_time_seconds"
FRONT = "haproxy_backend_http_requests_total"
FRONT_STARTED = "haproxy_process_start_time_seconds"
_GATEWAYS = 'proxy="gateway"'
_LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>[-+0-9.eE]+)(?: \d+)?"
)
_MOST = 2**53 - 1


def samples(text: str) -> Iterator[tuple[str, str, float]]:
    """Yield name, labels and value of each sample; what cannot be read is passed over."""
    for line in text.split("\n"):
        found = _LINE.fullmatch(line.strip("\r"))
        if found is None:
            continue
        try:
            value = float(found["value"])
        except ValueError:
            continue
        yield found["name"], found["labels"] or "", value


def total(text: str, name: str, label: str = "") -> int | None:
    """Return the sum of the samples of a name; None when there is none."""
    values = [value for of, labels, value in samples(text) if of == name and label in labels]
    found = int(sum(values)) if values else -1
    return found if 0 <= found <= _MOST else None


def engine(place: int, model: str, page: str) -> Data:
    """Return what an engine counted, as the fields of a heartbeat."""
    data: Data = {f"engine_{place}": model}
    requests = next((n for n in (total(page, name) for name in ENDED) if n is not None), None)
    since = total(page, STARTED)
    if requests is not None and since is not None:
        data |= {f"requests_{place}": requests, f"since_{place}": since}
    return data


def front(page: str) -> Data:
    """Return what haproxy counted."""
    counts = {
        "front_requests": total(page, FRONT, _GATEWAYS),
        "front_since": total(page, FRONT_STARTED),
    }
    return _known(counts)


def _known(counts: Mapping[str, int | None]) -> Data:
    return {name: count for name, count in counts.items() if count is not None}

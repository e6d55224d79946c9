"""Server-sent events: those that the page reads, and those of the gateway.

Only what both sides use: `data` lines and the empty line that ends an event
(https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from collections.abc import Iterable

DONE = "[DONE]"


def event(text: str) -> bytes:
    """Return one unnamed event: htmx swaps its text into the page."""
    lines = text.split("\n")
    return "".join(f"data: {line}\n" for line in lines).encode() + b"\n"


COMMENT = b": casemate\n\n"


class Events:
    """The data of events, from bytes cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterable[str]:
        """Yield the data of each event that is whole."""
        *events, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        for raw in events:
            lines = [line[5:].removeprefix(b" ") for line in raw.split(b"\n") if _is_data(line)]
            if lines:
                yield b"\n".join(lines).decode("utf-8", "replace")


def _is_data(line: bytes) -> bool:
    return line.startswith(b"data:")

"""One request as one thread: from the sign-in to settled accounts, and what came after."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from appliance.audit.event import Intent, Terminal
from appliance.console.language import Language, mark
from appliance.console.records import Record

STEPS_MAX = 200  # events of one request
_SHORT = timedelta(milliseconds=1)
_SECOND, _MINUTE, _HOUR, _DAY = 1, 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the thread, and how long after it the next one came."""

    record: Record
    pause: str = ""  # in words; empty for the last


@dataclass(frozen=True, slots=True)
class Story:
    """The thread of a request."""

    steps: tuple[Step, ...]
    begun: Record | None = None  # its intent
    ended: Record | None = None  # its end: exactly one

    @property
    def took(self) -> timedelta | None:
        """Return how long the request lasted."""
        return self.ended.at - self.begun.at if self.begun and self.ended else None


def story(records: Sequence[Record], language: Language) -> Story:
    """Put the events of a request in order, as the log has them."""
    ordered = sorted(records, key=lambda record: record.index)
    pauses = [_pause(one.at, following.at, language) for one, following in pairwise(ordered)]
    steps = (Step(record, pause) for record, pause in zip(ordered, [*pauses, ""], strict=True))
    begun = next((one for one in ordered if isinstance(one.event, Intent)), None)
    ended = next((one for one in ordered if isinstance(one.event, Terminal)), None)
    return Story(tuple(steps), begun, ended)


def _pause(before: datetime, after: datetime, language: Language) -> str:
    if after < before:
        return language.text(mark("l’horloge a reculé"))
    return lasting(after - before, language)


def lasting(time: timedelta, language: Language) -> str:
    """Return a length of time: two units at most, as `5 h 31 min`."""
    seconds = time.total_seconds()
    if time < _SHORT:
        return language.text(mark("aussitôt"))
    if seconds < _SECOND:
        return f"{language.number(seconds * 1000)}\N{NO-BREAK SPACE}ms"
    if seconds < _MINUTE:
        return f"{language.number(seconds, 1)}\N{NO-BREAK SPACE}s"
    days, rest = divmod(int(seconds), _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, whole = divmod(rest, _MINUTE)
    day = language.text(mark("j"))
    parts = [(days, day), (hours, "h"), (minutes, "min"), (whole, "s")]
    first = next(place for place, (value, _) in enumerate(parts) if value)
    shown = [part for part in parts[first : first + 2] if part[0]]
    return " ".join(f"{value}\N{NO-BREAK SPACE}{unit}" for value, unit in shown)

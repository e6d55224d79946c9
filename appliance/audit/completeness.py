"""What a log that holds together lets miss: silences, counts that disagree, losses.

A heartbeat (`audit.heartbeat`) says how many seconds to the next one, and what others counted
that nobody of ours writes: for each engine, how many requests it ended since it started. Each
of them had an intent: what an engine ended between two heartbeats is at most what was begun
between them, and what was open before. An omission at the source, by a gateway that asks and
records nothing, shows here and nowhere else.

`size` is the size of the log before the counts were read: what was ended after it was open
then, or begun later. Pure: fed with one leaf after the other.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.audit.event import Fact, Intent, Kind, Leaf, Terminal

QUIET = 3  # heartbeats that may be missed before the silence is one
RECENT = 65_536  # leaves in which a heartbeat finds the size that it names


class Remark(StrEnum):
    """What an honest log may show, and an auditor has to know."""

    CLOCK = "W_CLOCK_STEP"
    COUNTER = "W_COUNTER"
    DEGRADED = "W_DEGRADED"
    EPOCH = "W_EPOCH"
    GAP = "W_GAP"
    LOSS = "W_LOSS"
    ORPHAN = "W_ORPHAN_INTENT"
    UNPROVEN = "W_UNPROVEN"
    UNSIGNED = "W_UNSIGNED_TAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark, and the record that it is about."""

    remark: Remark
    record: int


_REMARKS = {
    Kind.AUDIT_DEGRADED: Remark.DEGRADED,
    Kind.AUDIT_EPOCH: Remark.EPOCH,
    Kind.AUDIT_LOSS: Remark.LOSS,
}


@dataclass(frozen=True, slots=True)
class _Beat:
    """What an engine had ended, and how the log stood before it was asked."""

    requests: int
    since: int  # start of its process: another one counts from zero
    begun: int  # intents for its model
    open: int  # of them without an end


@dataclass(slots=True)
class Watch:
    """Looks at the leaves in order."""

    _begun: Counter[str] = field(default_factory=Counter[str])  # model -> intents
    _open: dict[str, str] = field(default_factory=dict[str, str])  # request -> model
    _recent: deque[tuple[int, str, int, int]] = field(  # index, model, begun, opened
        default_factory=lambda: deque(maxlen=RECENT)
    )
    _beats: dict[str, _Beat] = field(default_factory=dict[str, _Beat])  # model -> the last one
    _last: tuple[int, bool] | None = None  # clock of the last leaf; whether it said the end
    _every: int = 0  # seconds; 0: no heartbeat yet

    def step(self, leaf: Leaf) -> Iterator[Finding]:
        """Take the next leaf; yield what it shows."""
        event = leaf.event
        if self._is_gap(leaf.at):
            yield Finding(Remark.GAP, leaf.index)
        if isinstance(event, Intent):
            self._begun[event.model] += 1
            self._open[event.request] = event.model
            self._recent.append((leaf.index, event.model, 1, 1))
        elif isinstance(event, Terminal):
            model = self._open.pop(event.request, None)
            if model is not None:
                self._recent.append((leaf.index, model, 0, -1))
        elif isinstance(event, Fact):
            if event.kind in _REMARKS and _is_remarkable(event):
                yield Finding(_REMARKS[event.kind], leaf.index)
            if event.kind is Kind.AUDIT_HEARTBEAT:
                yield from self._beat(leaf.index, event.data)
        ended = isinstance(event, Fact) and event.kind is Kind.AUDIT_STOP
        self._last = leaf.at, ended

    def _is_gap(self, at: int) -> bool:
        if self._last is None or not self._every or self._last[1]:
            return False
        return at - self._last[0] > QUIET * self._every * 1_000_000

    def _beat(self, index: int, data: Mapping[str, str | int]) -> Iterator[Finding]:
        every, size = data.get("every"), data.get("size")
        self._every = every if isinstance(every, int) and every > 0 else self._every
        if not isinstance(size, int):
            return
        for place in range(len(data)):
            model = data.get(f"engine_{place}")
            if not isinstance(model, str):
                break
            requests, since = data.get(f"requests_{place}"), data.get(f"since_{place}")
            if isinstance(requests, int) and isinstance(since, int):
                now = self._standing(model, size, requests, since)
                before, self._beats[model] = self._beats.get(model), now
                if before and self._is_more(before, now, model):
                    yield Finding(Remark.COUNTER, index)

    def _standing(self, model: str, size: int, requests: int, since: int) -> _Beat:
        """Return how the log stood when it had `size` leaves."""
        begun = self._begun[model]
        still = sum(of == model for of in self._open.values())
        for at, of, new, opened in reversed(self._recent):
            if at < size:
                break
            if of == model:
                begun, still = begun - new, still - opened
        return _Beat(requests, since, begun, still)

    def _is_more(self, before: _Beat, now: _Beat, model: str) -> bool:
        """Tell whether the engine ended more than it can have been asked with a record."""
        if before.since != now.since:
            return False
        return now.requests - before.requests > self._begun[model] - before.begun + before.open


def _is_remarkable(event: Fact) -> bool:
    """Tell whether a fact reports a harm, and not that it is over."""
    if event.kind is Kind.AUDIT_DEGRADED:
        return event.data.get("disk") not in {"plenty", "warn"}  # nothing is refused yet
    return event.kind is not Kind.AUDIT_LOSS or event.data.get("count") != 0

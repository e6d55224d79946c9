"""The growing end of the log: admits events, hashes them, makes them durable in one order.

Single writer: everything here runs in the recorder's loop. An event that is admitted is in the
tree and in the state at once, and in the journal with the next `commit`; nobody may be told of
it before. After an OSError the process has to end.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from appliance.audit import journal
from appliance.audit.anchored import anchor_of, last_in, later
from appliance.audit.event import (
    EVENT_BYTES_MAX,
    FACTS,
    NO_TEXT,
    Event,
    Intent,
    Interrupted,
    Kind,
    Terminal,
    encode,
    is_id,
    leaf_text,
)
from appliance.audit.lifecycle import apply
from appliance.audit.precedence import Level, check_queue, check_room
from appliance.audit.recovery import Recovered
from appliance.audit.tree import leaf_hash
from appliance.audit.volume import Volume
from appliance.errors import FormatError

RECORDER = "recorder"  # actor of what the recorder writes itself
STEP = 1_000_000  # microseconds that the wall clock may move against the monotonic one
_BOOT = Path("/proc/sys/kernel/random/boot_id")

Clock = Callable[[], tuple[int, int]]


def clocks() -> tuple[int, int]:
    """Return wall clock and monotonic clock, microseconds."""
    return time.time_ns() // 1000, time.monotonic_ns() // 1000


class Writer:
    """Holds the state of the log, and its leaves since the last checkpoint."""

    def __init__(
        self,
        volume: Volume,
        found: Recovered,
        published: Callable[[int], bytes],
        *,
        uid: int,
        clock: Clock = clocks,
    ) -> None:
        """Go on where the last process ended.

        Args:
            volume: Locked.
            found: What it holds.
            published: Returns a leaf that is in the tiles.
            uid: Of this process, for what it writes itself.
            clock: For tests.
        """
        self.volume, self._published = volume, published
        self.admission, self.frontier = found.admission, found.frontier
        self.recent, self.hashes = found.leaves, found.hashes  # from `first` on
        self.first = found.frontier.size - len(found.leaves)
        self.level = Level.PLENTY
        self.erased: list[tuple[int, int]] = []  # records whose contents are gone for good
        self.anchored = later(volume.read_anchored(), last_in(found.leaves))
        self._uid, self._clock = uid, clock
        self.boot = _BOOT.read_bytes().strip()
        at, mono = clock()
        same_boot = found.last is not None and found.last[0].encode() == self.boot
        self._offset = found.last[1] if found.last and same_boot else at - mono

    @property
    def waiting(self) -> int:
        """Admitted events that are not durable."""
        return self.admission.size - self.volume.size

    def append(self, event: Event, uid: int, sealed: bytes | None = None) -> tuple[int, bytes]:
        """Admit an event; return its index and leaf hash.

        Args:
            event: Of a type that `uid` may write.
            uid: Of the client, as the kernel gave it.
            sealed: The content key that comes with a terminal event.

        Raises:
            FormatError: It is too long, has no id, or a key that does not belong.
            UnavailableError: No room: not in the queue, or not on the disk.
            LifecycleError: It contradicts the log.
            BudgetError: A hard limit would be passed.
            StoppedError: An intent, while the service is stopped.
        """
        text = encode(event)
        if len(text) > EVENT_BYTES_MAX or not is_id(event.id):
            raise FormatError("the event is too long, or its id is not one")
        digest = hashlib.sha256(text).digest()
        known = self.admission.known(event.id, digest)
        if known is not None:
            return known, self._hash(known)
        self._check(event, sealed)
        anchor = anchor_of(event, self.admission.size)
        at, mono = self._clock()
        if abs(at - mono - self._offset) > STEP:
            self._step(at, mono)
        apply(self.admission, event, at)
        if sealed is not None:
            self.volume.sealed.add(self.admission.size, sealed)
        if anchor is not None:
            self.anchored = later(self.anchored, anchor)
        return self._place(event.id, text, digest, (at, mono), uid)

    def record(self, kind: Kind, **data: str | int) -> int:
        """Write a fact of the recorder's own; return its index."""
        event = FACTS[kind](actor=RECORDER, id=secrets.token_hex(16), data=data)
        return self._record(event)

    def commit(self) -> None:
        """Make durable what was admitted.

        Raises:
            OSError: What reached the disk is unknown.
        """
        while self.waiting:
            start = self.volume.size - self.first
            self.volume.append(self.recent[start : start + journal.LEAVES_MAX])

    def unpublished(self) -> tuple[list[bytes], list[bytes]]:
        """Return the durable leaves that no checkpoint covers, and their hashes."""
        durable = self.volume.size - self.first
        return self.recent[:durable], self.hashes[:durable]

    def published(self, count: int) -> None:
        """Forget leaves that are in the tiles now."""
        del self.recent[:count], self.hashes[:count]
        self.first += count

    def look_at_clocks(self) -> None:
        """Follow a slow drift; note a step. Once a second."""
        at, mono = self._clock()
        if abs(at - mono - self._offset) > STEP:
            self._step(at, mono)
        self._offset = at - mono

    def end_lost(self, request: str) -> None:
        """Close a request whose gateway is lost. What it reserved counts as used."""
        held = self.admission.open.get(request)
        if held is None:
            return
        event = Interrupted(
            actor=held.actor, answer=NO_TEXT, completion_tokens=0, duration=0,
            finish="gateway_lost", flags=[], id=secrets.token_hex(16), label=held.label,
            prompt_tokens=0, request=request, spend=held.amounts, status=0,
        )  # fmt: skip
        self._record(event)

    def _record(self, event: Event) -> int:
        text = encode(event)
        at = self._clock()
        apply(self.admission, event, at[0])
        return self._place(event.id, text, hashlib.sha256(text).digest(), at, self._uid)[0]

    def _check(self, event: Event, sealed: bytes | None) -> None:
        waiting = self.waiting
        if isinstance(event, Terminal):
            if (event.content == "sealed") != (sealed is not None):
                raise FormatError("a sealed key comes with content, and with it only")
            if waiting >= journal.LEAVES_MAX:
                self.commit()
            return
        if sealed is not None:
            raise FormatError("a sealed key comes with the end of a request")
        check_queue(event, waiting)
        if isinstance(event, Intent) and not is_id(event.request):
            raise FormatError("the id of the request is not one")
        to_come = len(self.admission.open) + waiting
        check_room(event, self.level, self.volume.room, to_come)

    def _step(self, at: int, mono: int) -> None:
        expected, self._offset = mono + self._offset, at - mono
        self.record(Kind.CLOCK_STEP, expected=expected, found=at)

    def _place(
        self, event_id: str, text: bytes, digest: bytes, at: tuple[int, int], uid: int
    ) -> tuple[int, bytes]:
        index = self.admission.place(event_id, digest)
        leaf = leaf_text(text, index, at, (self.boot, uid))
        hashed = self.frontier.add(leaf)
        self.recent.append(leaf)
        self.hashes.append(hashed)
        return index, hashed

    def leaf(self, index: int) -> bytes:
        """Return a leaf of the log."""
        if index >= self.first:
            return self.recent[index - self.first]
        return self._published(index)

    def _hash(self, index: int) -> bytes:
        if index >= self.first:
            return self.hashes[index - self.first]
        return leaf_hash(self._published(index))

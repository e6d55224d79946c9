"""Lines to the collector, in order, and what is known of their arrival.

- Each leaf goes once, as long as no connection breaks.
- The connection is ended and made again from time to time: a collector that answers the end,
  and takes the next connection at once, has read everything before it (`collector.py`).
- After any other end, what is not known to have arrived goes again, in order, marked `again`.
- A collector that answers no end has read what `WINDOW` further lines followed on the same
  connection: no two kernels hold as many. It is asked ever more rarely.

docs/decisions/0067. Blocking: for a thread, one call at a time. `OSError` is always the
collector's; then `drop`, and `open` again.
"""

from collections.abc import Sequence
from pathlib import Path

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.forward.collector import Link, Place
from appliance.audit.forward.cursor import Cursor, CursorError
from appliance.audit.forward.syslog import Voice, checkpoint_line, framed, leaf_lines
from appliance.audit.note import Note
from appliance.audit.publisher import write_files
from appliance.errors import FormatError

CURSOR = "cursor.json"
WINDOW = 65_536  # lines of 400 bytes and more
_DOUBLINGS_MAX = 10


class Delivery:
    """The copy at the collector, as far as it is. One process has the folder."""

    def __init__(self, place: Place, folder: Path, voice: Voice, settle: float) -> None:
        """Read where the last process ended.

        Args:
            place: The collector.
            folder: Of the cursor; it is there.
            voice: Who speaks; `cursor.origin` is another one when the log is.
            settle: Seconds after which what was sent is settled.

        Raises:
            CursorError: The cursor cannot be read.
        """
        self._place, self._folder, self._voice = place, folder, voice
        self._settle_seconds = settle
        self._link: Link | None = None
        self.cursor = self._load()
        self.position = self.cursor.received  # the next leaf to send
        self._sent = self.cursor.claimed  # from here on, no line was ever sent
        self._waiting_since: float | None = None  # a clock: first leaf that is not settled
        self._unanswered = 0
        self.checkpoint: tuple[int, bytes] = (0, b"")  # last on this connection: size, note

    def open(self) -> None:
        """Connect, and go back to what is not known to have arrived.

        Raises:
            OSError: The collector is not there, or is another one.
        """
        self.drop()
        self._link = Link(self._place)
        self.position = self.cursor.received
        self.checkpoint, self._waiting_since = (0, b""), None

    def drop(self) -> None:
        """Let go of the connection, if there is one."""
        if self._link is not None:
            self._link.drop()
            self._link = None

    def check(self) -> None:
        """Look whether the collector is still there.

        Raises:
            OSError: It left.
        """
        self._connection().check()

    def send(self, leaves: Sequence[bytes], size: int, now: float) -> None:
        """Send the leaves from `position` on.

        Args:
            leaves: As the recorder stores them.
            size: Of the log.
            now: A clock, seconds.

        Raises:
            OSError: The connection is lost.
            CursorError: The cursor cannot be written: nothing was sent.
        """
        start, end = self.position, self.position + len(leaves)
        self.keep(self.cursor.claim(end, max(size, end)))
        lines = [
            framed(line)
            for index, stored in enumerate(leaves, start)
            for line in leaf_lines(self._voice, stored, again=index < self._sent)
        ]
        self._sent = max(self._sent, end)  # a part of it arrives, also when this fails
        self._connection().send(b"".join(lines))
        self.position = end
        if self._waiting_since is None:
            self._waiting_since = now
        # What is not received was all sent on this connection.
        self.keep(self.cursor.receive(end - WINDOW))

    def tell(self, note: bytes, at: int) -> None:
        """Send a checkpoint that covers nothing beyond `position`.

        Args:
            note: Signed, of this log.
            at: Microseconds since 1970.

        Raises:
            OSError: The connection is lost.
        """
        self._connection().send(framed(checkpoint_line(self._voice, note, at)))
        self.checkpoint = Checkpoint.parse(Note.parse(note).text).size, note

    def due(self, now: float) -> bool:
        """Tell whether it is time to learn what arrived."""
        if self._waiting_since is None or self.position == self.cursor.received:
            return False
        patience = self._settle_seconds * (1 << min(self._unanswered, _DOUBLINGS_MAX))
        return now - self._waiting_since >= patience

    def settle(self) -> None:
        """End the connection and make the next one: what was sent has arrived then.

        A collector that was about to stop may have ended the connection by itself, without
        reading; it does not take the next one.

        Raises:
            OSError: What arrived is not known.
        """
        self._unanswered += 1
        self._connection().end()
        self._link = Link(self._place)
        self._unanswered, self._waiting_since = 0, None
        self.keep(self.cursor.receive(self.position))

    def keep(self, cursor: Cursor) -> None:
        """Make a cursor durable, and go on with it.

        Raises:
            CursorError: It cannot be written.
        """
        if cursor == self.cursor:
            return
        try:
            write_files(self._folder, {CURSOR: cursor.to_bytes()})
        except OSError as exc:
            raise CursorError(f"{self._folder}: {exc.strerror}") from exc
        self.cursor = cursor

    def begin(self, cursor: Cursor, voice: Voice) -> None:
        """Go on with the marks of another place in the log, or of another log."""
        self.keep(cursor)
        self._voice = voice
        self.position = cursor.received
        self._sent = cursor.claimed

    def _connection(self) -> Link:
        if self._link is None:
            raise RuntimeError("there is no connection")
        return self._link

    def _load(self) -> Cursor:
        try:
            return Cursor.parse((self._folder / CURSOR).read_bytes())
        except FileNotFoundError:
            return Cursor("")
        except (OSError, FormatError) as exc:
            raise CursorError(f"{self._folder / CURSOR}: {exc}") from exc

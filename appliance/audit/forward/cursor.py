"""How far the copy at the collector is: what is known to have arrived, what may have been sent.

RFC 5425 has no receipt (docs/decisions/0057), so two marks are kept. Below `received` each leaf
arrived, or is counted in an `audit.loss`. From `claimed` on, none was ever sent: the mark is
durable before the first line is. What lies between may or may not have arrived; it is sent
again, in order, and says so. Pure.
"""

from typing import Self

import msgspec

from appliance.errors import ApplianceError, FormatError

CLAIM = 1_024  # leaves: one durable write for so many lines


class CursorError(ApplianceError):
    """What was sent to the collector is not what the log holds; the message says why."""

    code = "CM-JRN-60"


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The two marks, for one log."""

    origin: str
    received: int = 0
    claimed: int = 0
    seen: int = 0  # size of the log when something was last claimed
    lost: int = 0  # leaves of which no line is known to have arrived, and none will be sent

    def to_bytes(self) -> bytes:
        """Return the file."""
        return msgspec.json.encode(self, order="sorted") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the file.

        Raises:
            FormatError: Not a cursor.
        """
        try:
            cursor = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise FormatError(f"not a cursor: {exc}") from exc
        if not 0 <= cursor.received <= cursor.claimed or cursor.lost < 0:
            raise FormatError("the marks of the cursor contradict each other")
        return cursor

    def check(self, size: int) -> None:
        """Check that the log still holds what was sent of it.

        Raises:
            CursorError: It is shorter: it was brought back to an earlier state.
        """
        if size < self.received:
            raise CursorError(
                f"the log has {size} records, the collector received {self.received}"
            )

    def claim(self, end: int, size: int) -> Self:
        """Return the cursor before leaves up to `end` are sent of a log of `size` leaves."""
        if end <= self.claimed:
            return self
        ahead = max(end, min(size, self.claimed + CLAIM))
        return msgspec.structs.replace(self, claimed=ahead, seen=size)

    def receive(self, end: int) -> Self:
        """Return the cursor once everything below `end` arrived."""
        assert end <= self.claimed
        return msgspec.structs.replace(self, received=max(self.received, end))

    def skip(self, end: int) -> Self:
        """Return the cursor once what is below `end` and did not arrive is counted as lost."""
        assert end > self.received
        return msgspec.structs.replace(
            self, received=end, claimed=max(self.claimed, end),
            lost=self.lost + end - self.received,
        )  # fmt: skip

    def follow(self, origin: str) -> Self:
        """Return the cursor at the beginning of the log that takes the place of this one."""
        return type(self)(origin, lost=self.lost + max(0, self.seen - self.received))

"""Which connection serves which open request, and which requests are lost.

A gateway whose connection ended has a grace to come back and tell what it still serves: those
requests are its own again, its others are lost at once. What nobody claims is lost when the
grace ends. After a start of the recorder every open request waits to be claimed. Pure: the
clock is an argument.
"""

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Serving:
    """The open requests."""

    grace: float  # seconds
    _owner: dict[str, Hashable] = field(default_factory=dict)  # request -> connection
    _names: dict[Hashable, str] = field(default_factory=dict)  # connection -> gateway
    _away: dict[str, tuple[str, float]] = field(default_factory=dict)  # gateway, deadline

    def restart(self, requests: Iterable[str], now: float) -> None:
        """Let every open request wait for whoever claims it."""
        self._away.update(dict.fromkeys(requests, ("", now + self.grace)))

    def begin(self, connection: Hashable, request: str) -> None:
        """A request was opened on this connection."""
        self._owner[request] = connection

    def end(self, request: str) -> None:
        """A request was closed, by whomever."""
        if self._owner.pop(request, None) is None:
            self._away.pop(request, None)

    def attach(self, connection: Hashable, gateway: str, live: Collection[str]) -> list[str]:
        """Give a gateway its requests back; return those of its own that are lost."""
        self._names[connection] = gateway
        for request in live:
            known = self._away.pop(request, None) or self._owner.get(request)
            if known is not None:
                self._owner[request] = connection
        return self._take(gateway=gateway)

    def leave(self, connection: Hashable, now: float) -> None:
        """A connection ended: what it served waits."""
        gateway = self._names.pop(connection, "")
        for request in [r for r, owner in self._owner.items() if owner is connection]:
            del self._owner[request]
            self._away[request] = gateway, now + self.grace

    def expired(self, now: float) -> list[str]:
        """Return the requests that nobody claimed in time."""
        return self._take(now=now)

    def _take(self, gateway: str | None = None, now: float = 0) -> list[str]:
        lost = [
            request
            for request, (name, deadline) in self._away.items()
            if (deadline <= now if gateway is None else name == gateway)
        ]
        for request in lost:
            del self._away[request]
        return lost

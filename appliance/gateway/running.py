"""The requests that this worker serves: told to the recorder as alive, ended by a stop.

A request is here from its intent until its terminal record is durable. The stop switch cancels
what waits for an engine or sends its answer; what is settling ends by itself.
"""

from appliance.gateway.call import Call


class Running:
    """All requests of this worker, on every route that asks a model."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """Its intent is durable."""
        self._calls[call.id] = call

    def discard(self, call: Call) -> None:
        """Its terminal record is durable, or will never be."""
        self._calls.pop(call.id, None)

    def live(self) -> list[str]:
        """Return the requests that have an intent and no durable end."""
        return list(self._calls)

    def stop(self) -> None:
        """End all generation: the service was stopped."""
        for call in list(self._calls.values()):
            if call.task:
                call.stopped = True
                call.task.cancel()

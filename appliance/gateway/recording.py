"""Steps 4 and 8 of a request: its intent before anything else, its one terminal record.

Invariants: an engine is asked only once `begin` returned; the last event of an answer leaves
only once `end` returned; content is promised in the terminal record only when its row has a
place.
"""

import asyncio
import time

from appliance.audit.client import RecorderClient, RecorderError, RefusedError, new_id
from appliance.audit.content import Ephemeral
from appliance.audit.event import Event
from appliance.audit.frame import Answer as Place
from appliance.gateway.call import Call, Terminal
from appliance.gateway.history import History
from appliance.gateway.recipients import Recipients
from appliance.gateway.refusals import Refusals
from appliance.gateway.running import Running
from appliance.ledger.admission import StoppedError


class Recording:
    """The records of this worker's requests."""

    def __init__(
        self, recorder: RecorderClient, history: History, running: Running,
        recipients: Recipients,
    ) -> None:  # fmt: skip
        self.recorder, self.running = recorder, running
        self.refusals = Refusals(new_id, time.monotonic())
        self._history, self._recipients = history, recipients
        self._ephemeral = Ephemeral.new(time.monotonic())

    def check_started(self) -> None:
        """Let a request pass while the service is not stopped.

        Raises:
            StoppedError: It is.
        """
        if self.recorder.stopped:
            raise StoppedError("the service is stopped")

    async def begin(self, call: Call, policy: str) -> Place:
        """Have the request admitted, its intent durable.

        Raises:
            RefusedError: A budget or the stop switch says no.
            RecorderError: The recorder is away.
        """
        place = await self.recorder.append(call.intent(policy))
        self.running.add(call)
        return place

    async def end(self, call: Call, kind: type[Terminal], finish: str, reason: str) -> Place:
        """Make the terminal record durable, and keep the content.

        Raises:
            RecorderError: It may not be durable: the answer may not end well.
        """
        call.task, call.ended = None, True  # who leaves from here on was served
        content = call.operation == "chat" and bool(call.text) and self._history.accepts()
        event = call.terminal(kind, finish, reason, content=content, now=time.monotonic())
        sealed = call.key.seal(self._recipients.keys, self._minute()) if content else None
        try:
            place = await self.recorder.append(event, sealed)
        finally:
            self.running.discard(call)
        if content:  # encrypted once the answer is on its way
            asyncio.get_running_loop().call_soon(self._keep, call, place.index, time.time())
        return place

    async def note(self, event: Event) -> Place:
        """Record a fact that belongs to a request, before it goes on."""
        return await self.recorder.append(event)

    def tell(self, event: Event) -> None:
        """Record a fact that nobody waits for."""
        self.recorder.append(event).add_done_callback(_forget)

    def refused(self, subject: str, code: str, route: str) -> None:
        """Record that somebody known was refused."""
        if event := self.refusals.known(subject, code, route):
            self.tell(event)

    def tick(self, *, last: bool = False) -> None:
        """Write the summaries that are due."""
        for event in self.refusals.due(time.monotonic(), last=last):
            self.tell(event)

    def _keep(self, call: Call, record: int, at: float) -> None:
        self._history.put(call.row(record, at))

    def _minute(self) -> Ephemeral:
        now = time.monotonic()
        if self._ephemeral.expired(now):
            self._ephemeral = Ephemeral.new(now)
        return self._ephemeral


def _forget(done: "asyncio.Future[Place]") -> None:
    if not done.cancelled() and isinstance(done.exception(), RecorderError | RefusedError):
        return  # a summary is lost with the recorder; requests were refused as well

"""Client of the recorder: one connection, frames coalesced per turn of the event loop.

An append is answered once it is durable. When the connection is lost, the client connects
again and again, tells the requests that it still serves, and sends what has no answer once more
(same event id, same index). An intent that is not answered within `INTENT_TIMEOUT` is given up,
anything else within `patience`: both fail with `RecorderError`, and nothing may be served. An
intent that turns out to be admitted after it was given up, or after its caller was cancelled,
is closed here.
"""

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from appliance.audit.event import NO_TEXT, Event, Intent, Interrupted
from appliance.audit.frame import (
    READ_MAX,
    Answer,
    Attach,
    Erased,
    Extend,
    Extended,
    Key,
    Leaves,
    Prove,
    Proved,
    Question,
    Ranges,
    Read,
    State,
    Status,
    Unpacker,
    Unseal,
    gather,
    pack,
)
from appliance.audit.proof import Proof
from appliance.errors import ApplianceError, FormatError

INTENT_TIMEOUT = 2  # seconds
RETRY = 0.05  # seconds between two attempts to connect
TICK = 0.1  # seconds between two looks at what waits too long
_ANSWER_BYTES_MAX = 1 << 26

_prefix, _count = secrets.token_hex(10), itertools.count()

Body = TypeVar("Body")


def new_id() -> str:
    """Return an id for an event or a request: one that no other process makes."""
    return f"{_prefix}{next(_count):012x}"


class RecorderError(ApplianceError):
    """The recorder is away, or too slow. Nothing may be served."""

    code = "CM-JRN-01"


class RefusedError(ApplianceError):
    """The recorder does not admit the event, or has not what was asked for."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class _Waiting(msgspec.Struct, eq=False):
    """What has no answer."""

    message: Event | Question
    sealed: bytes | None
    future: "asyncio.Future[Answer]"
    deadline: float  # of the loop's clock


class RecorderClient(asyncio.Protocol):
    """The one connection of a process. Made inside its event loop."""

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        live: Callable[[], Sequence[str]] = tuple,
        on_stop: Callable[[bool], None] | None = None,
        patience: float = 10,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            path: Socket of the recorder.
            name: Of this worker, kept across its restarts.
            live: Returns the requests that this worker still serves: those with an intent and
                without a durable end.
            on_stop: Told when the service is stopped (true) or started again.
            patience: Seconds before an event other than an intent, or a question, is given up.
        """
        self._path, self._name, self._live, self._on_stop = str(path), name, live, on_stop
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._attached = asyncio.Event()
        self._waiting: dict[int, _Waiting] = {}
        self._given_up: dict[int, Intent] = {}  # sent on this connection
        self._out: list[int] = []  # refs to send in this turn
        self._unpacker = Unpacker(_ANSWER_BYTES_MAX)
        self._ref = 0
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(list[Answer]).decode
        self._tasks: list[asyncio.Task[None]] = []
        self._lost = asyncio.Event()
        self._refusal: RefusedError | None = None
        self.stopped = False

    # connecting

    async def connect(self) -> None:
        """Connect, attach, and stay connected until `close`.

        Raises:
            RecorderError: The recorder stayed away for `patience` seconds.
            RefusedError: This user may not speak to it.
        """
        self._lost.set()
        self._tasks = [
            self._loop.create_task(self._stay_connected()),
            self._loop.create_task(self._expire_forever()),
        ]
        try:
            async with asyncio.timeout(self._patience):
                await self._attached.wait()
        except TimeoutError as exc:
            await self.close()
            raise RecorderError("the recorder is away") from exc
        if self._refusal:
            await self.close()
            raise self._refusal

    async def close(self) -> None:
        """Leave. What has no answer fails."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        if self._transport:
            self._transport.abort()
            self._transport = None
        for ref in list(self._waiting):
            self._give_up(ref)

    async def _stay_connected(self) -> None:
        while True:
            await self._lost.wait()
            try:
                await self._loop.create_unix_connection(lambda: self, self._path)
            except OSError:
                await asyncio.sleep(RETRY)
            else:
                await asyncio.sleep(0 if self._transport else RETRY)

    async def _expire_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = self._loop.time()
            for ref in [ref for ref, one in self._waiting.items() if one.deadline < now]:
                self._give_up(ref)

    def _give_up(self, ref: int) -> None:
        one = self._waiting.pop(ref)
        if self._transport and isinstance(one.message, Intent):
            self._given_up[ref] = one.message
        if not one.future.done():
            one.future.set_exception(RecorderError("the recorder is away, or too slow"))
            one.future.exception()  # who asked may be gone: that is no defect to report

    # events

    def append(self, event: Event, sealed: bytes | None = None) -> "asyncio.Future[Answer]":
        """Send an event. The future ends once it is durable.

        Args:
            event: With an id of its own.
            sealed: The content key of the request sealed to its readers, 256 bytes at most.

        Raises (from the future):
            RecorderError: Whether it is in the log is not known.
            RefusedError: It is not in the log.
        """
        seconds = INTENT_TIMEOUT if isinstance(event, Intent) else self._patience
        return self._send(event, sealed, seconds)

    async def append_all(self, events: Iterable[Event]) -> list[Answer]:
        """Send events in this order, and return when each is durable.

        Raises:
            RecorderError: Whether they are in the log is not known.
            RefusedError: One of them is not; the others may be.
        """
        return await asyncio.gather(*[self.append(event) for event in events])

    # questions

    async def status(self, budgets: Sequence[str] | None = ()) -> State:
        """Return how the log stands, and the budgets named; with None all of them."""
        names = None if budgets is None else list(budgets)
        return await self._ask(Status(0, names), State)

    async def read(self, start: int, limit: int) -> list[bytes]:
        """Return stored leaves from `start` on; a negative start counts from the end."""
        leaves: list[bytes] = []
        while len(leaves) < limit:
            most = min(limit - len(leaves), READ_MAX)
            found = await self._ask(Read(most, 0, start), Leaves)
            if not found.leaves:
                break
            leaves += found.leaves
            start = found.first + len(found.leaves)
        return leaves

    async def prove(self, index: int) -> tuple[bytes, Proof]:
        """Return a leaf and the proof that it is in the signed log.

        Raises:
            RefusedError: There is no such leaf.
        """
        found = await self._ask(Prove(index, 0), Proved)
        return found.leaf, Proof.parse(found.proof)

    async def sealed(self, index: int) -> bytes:
        """Return the sealed content key that came with a terminal event.

        Raises:
            RefusedError: None came with that leaf.
        """
        return (await self._ask(Unseal(index, 0), Key)).sealed

    async def extend(self, old: int) -> tuple[bytes, list[bytes]]:
        """Return the signed checkpoint, and the proof that it extends the log of `old` leaves.

        Raises:
            RefusedError: The log has not as many, or nothing is signed yet.
        """
        found = await self._ask(Extend(old, 0), Extended)
        return found.note, found.path

    async def erased(self) -> list[tuple[int, int]]:
        """Return the ranges of records whose contents are erased for good."""
        return (await self._ask(Erased(0), Ranges)).ranges

    async def _ask(self, question: Question, answer: type[Body]) -> Body:
        found = await self._send(question, None, self._patience)
        return msgspec.json.decode(found.body, type=answer)

    # frames

    def _send(
        self, message: Event | Question, sealed: bytes | None, seconds: float
    ) -> "asyncio.Future[Answer]":
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._ref = ref = self._ref + 1
        self._waiting[ref] = _Waiting(message, sealed, future, self._loop.time() + seconds)
        if self._transport is not None:
            if not self._out:
                self._loop.call_soon(self._flush)
            self._out.append(ref)
        return future

    def _flush(self) -> None:
        refs, self._out = self._out, []
        if self._transport is not None:
            self._transport.write(self._frames(refs))

    def _frames(self, refs: Sequence[int]) -> bytes:
        """Return the frames of what waits; an event that cannot be written fails alone."""
        try:
            return self._packed(refs)
        except (TypeError, ValueError):
            for ref in refs:
                self._check_writable(ref)
            return self._packed(refs)

    def _packed(self, refs: Sequence[int]) -> bytes:
        waiting = self._waiting
        entries = [(ref, one.message, one.sealed) for ref in refs if (one := waiting.get(ref))]
        frames = gather(entries, sent=time.monotonic_ns() // 1000)
        return b"".join([pack(self._encode(frame)) for frame in frames])

    def _check_writable(self, ref: int) -> None:
        one = self._waiting.get(ref)
        try:
            self._encode(one and one.message)
        except (TypeError, ValueError) as exc:
            future = self._waiting.pop(ref).future
            if not future.done():
                future.set_exception(FormatError(f"the event cannot be written: {exc}"))

    def _attach(self) -> bytes:
        """Tell what is alive: also the requests whose intent has no answer yet."""
        messages = (one.message for one in self._waiting.values())
        asked = (message.request for message in messages if isinstance(message, Intent))
        return pack(self._encode(Attach(self._name, [*self._live(), *asked], 0)))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Attach, and send again what has no answer."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._lost.clear()
        self._unpacker = Unpacker(_ANSWER_BYTES_MAX)
        self._given_up.clear()  # not told as live: the recorder closes them
        self._out = []
        self._transport.write(self._attach() + self._frames(list(self._waiting)))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Connect again."""
        self._transport = None
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        """Deliver answers."""
        try:
            for body in self._unpacker.feed(data):
                for answer in self._decode(body):
                    self._deliver(answer)
        except (FormatError, msgspec.DecodeError):
            if self._transport:
                self._transport.abort()

    def _deliver(self, answer: Answer) -> None:
        if not answer.ref:
            self._hear(answer)
            return
        one = self._waiting.pop(answer.ref, None)
        if one is None or one.future.done():
            self._close_unserved(answer, one)
        elif answer.error:
            one.future.set_exception(RefusedError(answer.error, answer.detail))
        else:
            one.future.set_result(answer)

    def _hear(self, answer: Answer) -> None:
        """Take in the answer to `attach`, or a change of the stop state."""
        self._attached.set()
        if answer.error:
            self._refusal = RefusedError(answer.error, answer.detail)
        elif answer.stopped is not None and answer.stopped != self.stopped:
            self.stopped = answer.stopped
            if self._on_stop:
                self._on_stop(answer.stopped)

    def _close_unserved(self, answer: Answer, one: _Waiting | None) -> None:
        """End the request of an intent that was admitted, and that nobody waits for."""
        intent = one.message if one else self._given_up.pop(answer.ref, None)
        if isinstance(intent, Intent) and not answer.error:
            self.append(unserved(intent))


def unserved(intent: Intent) -> Interrupted:
    """Return the end of a request for which no model was asked."""
    return Interrupted(
        actor=intent.actor, answer=NO_TEXT, completion_tokens=0, duration=0,
        finish="not_served", flags=[], id=new_id(), label=intent.label, prompt_tokens=0,
        request=intent.request, spend={}, status=0,
    )  # fmt: skip

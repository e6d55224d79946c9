"""The desk of the recorder: takes the requests of clients, answers when the log is durable.

Requests and answers are those of `frame.py`. Group commit without a timer: what arrives in one
turn of the loop shares one fdatasync, which runs in the loop itself: nobody can be answered
before it ends, and a thread costs two hand-overs of the interpreter lock for each group. A disk
error ends the process and is never retried.

A request is closed as `llm.interrupted` when its gateway is lost: its connection ended, or this
process was started again, and it did not come back in time to claim the request.
"""

import asyncio
import logging
import os
import time
from binascii import b2a_base64
from typing import NoReturn

import msgspec

from appliance.audit.checkpoints import Checkpoints
from appliance.audit.erasure import Erasures, Rules
from appliance.audit.event import (
    FACTS,
    HOT,
    OWN,
    Event,
    Intent,
    Kind,
    Terminal,
    event_type,
    type_of,
)
from appliance.audit.frame import Answer, Append, Attach, Prove, Question, Read, Request, Unseal
from appliance.audit.peer import Peer
from appliance.audit.precedence import Level, UnavailableError, level_of
from appliance.audit.publisher import Publisher
from appliance.audit.questions import Questions
from appliance.audit.serving import Serving
from appliance.audit.writer import Writer
from appliance.errors import ApplianceError
from appliance.settings import RecorderSettings

log = logging.getLogger(__name__)

EXIT_BROKEN = 70
ANY, READ, SEALED = "*", "read", "sealed"  # words of the table of clients, beside types
QUESTIONS_MAX = 256  # of one client, without an answer
TICK = 1  # seconds
_NOTE_PAUSE = 60  # seconds between two notes about the disk

_NOTHING: frozenset[type] = frozenset()  # that somebody unknown may write
_encode = msgspec.json.Encoder().encode


class PeerError(ApplianceError):
    """The client's user id may not do this."""

    code = "CM-JRN-05"


def die(exc: BaseException) -> NoReturn:
    """End the process at once: what is on the disk is unknown, the next one recovers."""
    log.critical("the recorder ends: %r", exc)
    os._exit(EXIT_BROKEN)


class Desk:
    """Answers clients. Made and used inside the event loop."""

    def __init__(
        self, writer: Writer, publisher: Publisher, settings: RecorderSettings
    ) -> None:
        """Go on with a log that was recovered."""
        self._writer, self._settings = writer, settings
        self.checkpoints = Checkpoints(writer, publisher, settings.checkpoint_interval)
        self._questions = Questions(writer, publisher, self.checkpoints)
        self._loop = asyncio.get_running_loop()
        rules = Rules(settings.content_floor_months, settings.content_visa)
        self._erasures = Erasures(writer, publisher, rules)
        self._serving = Serving(settings.reattach_timeout)
        self._serving.restart(writer.admission.open, self._loop.time())
        self._may = {uid: _structs(words) for uid, words in settings.clients.items()}
        self._answers: list[tuple[Peer, Answer]] = []
        self._scheduled = False
        self._peers: set[Peer] = set()
        self._told = bool(writer.admission.stopped_by)
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing = self._ended = False
        self._noted = -float(_NOTE_PAUSE)  # of the loop's clock

    # clients

    def peer(self) -> Peer:
        """Return the protocol of a new connection."""
        return Peer(self.receive, self.leave)

    def receive(self, peer: Peer, request: Request) -> None:
        """Take a request; its answer leaves when the log is durable up to here."""
        if self._ended:  # not answered: it is sent again to the next process
            return
        if isinstance(request, Append):
            waited = time.monotonic_ns() // 1000 - request.sent if request.sent else 0
            stale = waited > self._settings.append_timeout * 1_000_000
            for ref, event in enumerate(request.events, request.ref):
                sealed = request.sealed.get(event.id) if request.sealed else None
                answer = self._append(peer, Answer(ref), event, sealed, stale=stale)
                self._answers.append((peer, answer))
            self._schedule()
        elif isinstance(request, Attach):
            self._answers.append((peer, self._attach(peer, request)))
            self._schedule()
        else:
            self._ask(peer, request)

    def leave(self, peer: Peer) -> None:
        """A client left: the requests that it served wait for it."""
        self._peers.discard(peer)
        self._serving.leave(peer, self._loop.time())

    def _append(
        self, peer: Peer, answer: Answer, event: Event, sealed: bytes | None, *, stale: bool
    ) -> Answer:
        try:
            if type(event) not in self._may.get(peer.uid, _NOTHING):
                raise PeerError(f"user id {peer.uid} may not write {event_type(event)}")
            if stale and isinstance(event, Intent):
                raise UnavailableError("the event waited too long")
            self._erasures.check(event)
            index, hashed = self._writer.append(event, peer.uid, sealed)
            self._erasures.take(index, event)
        except ApplianceError as exc:
            answer.error, answer.detail = exc.code, str(exc)
            return answer
        except OSError as exc:
            die(exc)
        if isinstance(event, Intent):
            if event.request in self._writer.admission.open:
                self._serving.begin(peer, event.request)
        elif isinstance(event, Terminal):
            self._serving.end(event.request)
        answer.index, answer.leaf = index, b2a_base64(hashed, newline=False).decode()
        return answer

    def _attach(self, peer: Peer, request: Attach) -> Answer:
        if peer.uid not in self._may:
            log.warning("user id %d is not in the table of clients", peer.uid)
            detail = f"user id {peer.uid} is not in the table of clients"
            return Answer(request.ref, error=PeerError.code, detail=detail)
        self._peers.add(peer)
        for lost in self._serving.attach(peer, request.gateway, request.live):
            self._writer.end_lost(lost)
        return Answer(request.ref, stopped=bool(self._writer.admission.stopped_by))

    def _ask(self, peer: Peer, question: Question) -> None:
        if peer.questions >= QUESTIONS_MAX:
            full = UnavailableError("too many questions wait")
            peer.send([Answer(question.ref, error=full.code, detail=str(full))])
            return
        peer.questions += 1
        task = self._loop.create_task(self._answer(peer, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, peer: Peer, question: Question) -> None:
        try:
            self._check_question(peer.uid, question)
            body = await self._questions.answer(question)
            answer = Answer(question.ref, body=msgspec.Raw(_encode(body)))
        except ApplianceError as exc:
            answer = Answer(question.ref, error=exc.code, detail=str(exc))
        except OSError as exc:
            die(exc)
        finally:
            peer.questions -= 1
        peer.send([answer])

    def _check_question(self, uid: int, question: Question) -> None:
        words = self._settings.clients.get(uid)
        needed = {Read: READ, Prove: READ, Unseal: SEALED}.get(type(question))
        if words is None or (needed and not {needed, ANY} & words):
            raise PeerError(f"user id {uid} may not ask this")

    # the log

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        self._scheduled = False
        answers, self._answers = self._answers, []
        try:
            self._writer.commit()
            self._erasures.carry_out()
        except OSError as exc:  # nobody is told that it is durable
            die(exc)
        by_peer: dict[Peer, list[Answer]] = {}
        for peer, answer in answers:
            by_peer.setdefault(peer, []).append(answer)
        for peer, of_peer in by_peer.items():
            peer.send(of_peer)
        self._tell_stop()
        self.checkpoints.look()
        if self._writer.volume.wants_next and not self._preparing:
            self._prepare()

    def _tell_stop(self) -> None:
        stopped = bool(self._writer.admission.stopped_by)
        if stopped != self._told:
            self._told = stopped
            for peer in self._peers:
                peer.send([Answer(0, stopped=stopped)])

    def start(self, shutdown: str, truncated: int) -> None:
        """Record that the recorder starts.

        Args:
            shutdown: How the last process ended.
            truncated: Bytes of a torn record that were cut.
        """
        self._writer.record(
            Kind.AUDIT_START,
            boot_id=self._writer.boot.decode(), previous_shutdown=shutdown,
            truncated_bytes=truncated, orphans=len(self._writer.admission.open),
        )  # fmt: skip
        self._commit()

    async def stop(self) -> None:
        """Record that the recorder stops, publish all, and take nothing more."""
        self._ended = True
        self._writer.record(Kind.AUDIT_STOP)
        self._commit()
        self._writer.volume.sealed.sync()
        await self.checkpoints.make()

    async def watch_forever(self) -> None:
        """Look after files, disk, clocks and lost requests, each second.

        Raises:
            OSError: A file of the log was deleted or replaced.
        """
        while True:
            self.tick()
            await asyncio.sleep(TICK)

    def tick(self) -> None:
        """Look once."""
        writer = self._writer
        disk = writer.volume.check()
        writer.volume.sealed.sync()
        self._note_disk(level_of(disk.free, disk.total), disk.free)
        writer.look_at_clocks()
        for request in self._serving.expired(self._loop.time()):
            writer.end_lost(request)
        self._preparing = False
        self._commit()

    def _note_disk(self, level: Level, free: int) -> None:
        changed, self._writer.level = level != self._writer.level, level
        if changed and self._loop.time() - self._noted >= _NOTE_PAUSE:
            self._noted = self._loop.time()
            self._writer.record(Kind.AUDIT_DEGRADED, disk=level.name.lower(), free_bytes=free)
            log.warning("disk of the log: %s, %d bytes are free", level.name.lower(), free)

    def _prepare(self) -> None:
        self._preparing = True  # until the next tick, also when it fails: no room is no hurry
        task = self._loop.create_task(_prepare(self._writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _prepare(writer: Writer) -> None:
    try:
        await asyncio.to_thread(writer.volume.prepare)
    except OSError as exc:
        log.warning("the next segment is not ready: %s", exc)


def _structs(words: frozenset[str]) -> frozenset[type]:
    """Return the events that a client may write. The recorder's own are nobody else's."""
    structs = {type_of(struct): struct for struct in HOT} | dict(FACTS)
    return frozenset(
        struct
        for name, struct in structs.items()
        if name not in OWN and (ANY in words or name in words)
    )

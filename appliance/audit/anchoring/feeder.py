"""The feeder: a process of its own that brings each grown checkpoint to the witnesses.

It is the only part of the log with a network. It holds no key and is not trusted: what it sends
is signed by the log, what it brings back by the witness, and both are checked again by whoever
reads them. Any answer but 200 is a refusal. A conflict that names a size which this log has is
followed by one request from there; a witness that has more than the log is an alarm: the log
was taken back, what the witness has is fetched and kept, and the recorder will not start again.
"""

import asyncio
import logging
import re
import time
from dataclasses import dataclass

import aiohttp

from appliance.audit.anchoring.answer import accept, join
from appliance.audit.anchoring.asking import record, request_from
from appliance.audit.anchoring.kept import keep, largest
from appliance.audit.client import RecorderClient, new_id
from appliance.audit.event import Kind, fact
from appliance.audit.policy import Policy
from appliance.audit.witness.memory import folder_of
from appliance.audit.witness.request import Request
from appliance.errors import ApplianceError, VerificationError
from appliance.trail_settings import FeederSettings

log = logging.getLogger(__name__)

ACTOR = "feeder"
ANSWER_BYTES_MAX = 65_536
SLOWEST = 16  # intervals at most between two attempts
CONFLICT = 409
OWN_MAX = 64  # leaves of this process that it remembers
_AWAY = (ApplianceError, OSError, aiohttp.ClientError, TimeoutError)
_size = re.compile(r"0|[1-9][0-9]{0,15}").fullmatch


class FeedError(VerificationError):
    """A witness did not cosign, or cannot be reached."""

    code = "CM-JRN-20"


class AheadError(FeedError):
    """The witness has cosigned more than this log holds: the log was taken back."""


@dataclass(slots=True)
class Standing:
    """How it stands with one witness. Times are of the monotonic clock, seconds."""

    known: int | None = None  # leaves that it has cosigned, as far as is known here
    anchored_at: float | None = None
    failing_since: float | None = None
    failures: int = 0
    alarmed: bool = False
    next_try: float = 0


class Feeder:
    """Brings checkpoints to the witnesses of the settings."""

    def __init__(
        self, settings: FeederSettings, policy: Policy, client: RecorderClient,
        http: aiohttp.ClientSession,
    ) -> None:  # fmt: skip
        """Take the parts; `client` is connected.

        Raises:
            VerificationError: A witness of the settings is not in the policy.
        """
        self._settings, self._policy, self._client, self._http = settings, policy, client, http
        self._names = {one.name: one.cosigner.key.name for one in policy.witnesses}
        if unknown := sorted(set(settings.witnesses) - set(self._names)):
            raise VerificationError(f"{', '.join(unknown)}: not a witness of the policy")
        self.standings = {name: Standing() for name in settings.witnesses}
        self._own: list[int] = []  # indexes of the leaves that this process wrote

    async def feed_forever(self) -> None:
        """Look at each interval, until cancelled."""
        while True:
            for name in self.standings:
                await self.look(name, time.monotonic())
            await asyncio.sleep(self._settings.interval)

    async def look(self, name: str, now: float) -> None:
        """Bring the checkpoint to one witness, if it has to know.

        Args:
            name: Of the witness in the policy.
            now: Monotonic clock, seconds.
        """
        standing = self.standings[name]
        if now < standing.next_try:
            return
        try:
            await self._feed(name, standing, now)
        except _AWAY as exc:
            await self._failed(name, standing, exc, now)
        else:
            await self._succeeded(name, standing)

    async def _feed(self, name: str, standing: Standing, now: float) -> None:
        size = (await self._client.status()).checkpoint_size
        due = standing.anchored_at is None or (
            now - standing.anchored_at >= self._settings.refresh
        )
        if not size or not (due or self._grew(standing.known or 0, size)):
            return
        if standing.known is None:
            origin = (await request_from(self._client, 0)).checkpoint.origin
            standing.known = largest(self._settings.anchors, origin, {self._names[name]})
        request, answer = await self._asked(name, min(standing.known, size))
        origin = request.checkpoint.origin
        anchor = accept(join(answer, request.note), self._policy, origin)
        if name not in anchor.times:
            raise FeedError(f"what {name} answered is not its cosignature")
        _, written = await record(
            self._client, self._settings.anchors, anchor, "witness", ACTOR
        )
        self._own = [*self._own, *written][-OWN_MAX:]
        standing.known, standing.anchored_at = anchor.head.size, now

    def _grew(self, known: int, size: int) -> bool:
        """Tell whether there is a leaf after `known` that is not of this process."""
        return size - known > OWN_MAX or not set(range(known, size)) <= set(self._own)

    async def _asked(self, name: str, known: int) -> tuple[Request, bytes]:
        """Ask a witness; once more when it says that it has another size."""
        request = await request_from(self._client, known)
        status, kind, answer = await self._post(name, request)
        if status == CONFLICT and kind == "text/x.tlog.size":
            has = answer.decode("ascii", "replace").removesuffix("\n")
            if _size(has) is None:
                raise FeedError(f"{name} answered {status}, and no size")
            size = (await self._client.status()).checkpoint_size
            if int(has) > size:
                await self._keep_what_it_has(name, request.checkpoint.origin)
                raise AheadError(
                    f"{name} has {has} records, this log {size}: it was taken back"
                )
            request = await request_from(self._client, int(has))
            status, _, answer = await self._post(name, request)
        if status != 200:  # noqa: PLR2004
            raise FeedError(f"{name} answered {status}")
        return request, answer

    async def _post(self, name: str, request: Request) -> tuple[int, str, bytes]:
        url = f"{self._url(name)}/add-checkpoint"
        async with self._http.post(url, data=request.to_bytes()) as answer:
            kind = answer.headers.get("content-type", "")
            return answer.status, kind, await _body(answer)

    async def _keep_what_it_has(self, name: str, origin: str) -> None:
        """Fetch what the witness has, and keep it: the recorder reads it at its next start."""
        try:
            url = f"{self._url(name)}/{folder_of(origin)}/checkpoint"
            async with self._http.get(url) as answer:
                note = await _body(answer)
            keep(self._settings.anchors, accept(note, self._policy, origin))
        except _AWAY as exc:
            log.warning("what %s has cannot be kept: %s", name, exc)

    def _url(self, name: str) -> str:
        return self._settings.witnesses[name].rstrip("/")

    async def _failed(
        self, name: str, standing: Standing, why: BaseException, now: float
    ) -> None:
        log.warning("no anchor at %s: %s", name, str(why) or type(why).__name__)
        standing.failing_since = (
            now if standing.failing_since is None else standing.failing_since
        )
        standing.failures += 1
        pause = min(2 ** (standing.failures - 1), SLOWEST) * self._settings.interval
        standing.next_try = now + pause - self._settings.interval / 2
        late = now - standing.failing_since >= self._settings.alarm
        if (late or isinstance(why, AheadError)) and not standing.alarmed:
            standing.alarmed = True
            log.error("the log is not anchored at %s any more: %s", name, why)
            reason = "ahead" if isinstance(why, AheadError) else "unreachable"
            await self._tell(Kind.SERVICE_DEGRADED, name, reason=reason)

    async def _succeeded(self, name: str, standing: Standing) -> None:
        standing.failing_since, standing.failures, standing.next_try = None, 0, 0
        if standing.alarmed:
            standing.alarmed = False
            log.info("the log is anchored at %s again", name)
            await self._tell(Kind.SERVICE_RESTORED, name)

    async def _tell(self, kind: Kind, name: str, reason: str = "reached") -> None:
        event = fact(kind, ACTOR, new_id(), part="witness", name=name, reason=reason)
        try:
            await self._client.append(event)
        except ApplianceError as exc:
            log.warning("the log was not told: %s", exc)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body.

    Raises:
        FeedError: It is longer than any answer of a witness.
    """
    body = b""
    async for part in answer.content.iter_any():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise FeedError("the answer is too long")
    return body


async def run(settings: FeederSettings) -> None:
    """Feed until cancelled.

    Raises:
        FormatError: The policy is none.
        VerificationError: A witness of the settings is not in it.
        RecorderError: The recorder stays away.
        RefusedError: This user may not speak to it.
        OSError: The policy cannot be read.
    """
    policy = Policy.parse(settings.policy.read_text("utf-8"))
    client = RecorderClient(settings.recorder, ACTOR)
    await client.connect()
    timeout = aiohttp.ClientTimeout(total=settings.timeout)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await Feeder(settings, policy, client, http).feed_forever()
    finally:
        await client.close()

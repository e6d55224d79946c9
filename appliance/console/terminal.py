"""The end of a request in the log: waited for after a stop, proved for a receipt."""

import asyncio
import time
from dataclasses import dataclass, replace

from appliance.audit.client import RecorderClient, RefusedError
from appliance.audit.event import Interrupted
from appliance.audit.key import parse_keys
from appliance.audit.proof import Proof
from appliance.console.context import Visit, utc_now
from appliance.console.gateway import Receipt
from appliance.console.language import Language
from appliance.console.records import Record, read
from appliance.console.turn import Turn
from appliance.errors import FormatError
from appliance.identity.principal import Principal, Scope
from appliance.rag.documents import UnknownDocumentError

PATIENCE, PAUSE = 5.0, 0.1  # seconds
AROUND = 400  # leaves looked through on each side of a record


@dataclass(frozen=True, slots=True)
class Proved:
    """A record with the proof that it is in the signed log, verified here."""

    record: Record
    stored: bytes
    proof: Proof
    size: int
    root: str
    key: str

    @property
    def steps(self) -> int:
        """Return how many hashes lead to the root."""
        return len(self.proof.path)


async def ending_of(visit: Visit, request: str, start: int, key: str) -> Turn:
    """Return the turn that ended this request of the person, once its record is durable."""
    turn = Turn(key=key, question="", at=utc_now(), stopped=True)
    subject = visit.caller.subject
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for record in await leaves(visit.console.recorder, visit.language, start, AROUND):
            if record.request == request and record.ends and record.actor == subject:
                stopped = isinstance(record.event, Interrupted)
                receipt = Receipt(record.index, record.leaf)
                return replace(turn, at=record.at, receipt=receipt, stopped=stopped)
        await asyncio.sleep(PAUSE)
    return turn


async def leaves(
    recorder: RecorderClient, language: Language, start: int, limit: int
) -> list[Record]:
    """Return records from `start` on.

    Raises:
        RecorderError: The recorder is away.
    """
    return [read(stored, language) for stored in await recorder.read(max(start, 0), limit)]


async def record_at(visit: Visit, index: int) -> Record:
    """Return a record that the person may see.

    Raises:
        UnknownDocumentError: There is none, or it is another person's: no telling which.
        RecorderError: The recorder is away.
    """
    found = await leaves(visit.console.recorder, visit.language, index, 1) if index >= 0 else []
    if not found or found[0].index != index or not may_see(visit.caller, found[0]):
        raise UnknownDocumentError
    return found[0]


def may_see(caller: Principal, record: Record) -> bool:
    """Say whether a record is the caller's own, or the caller sees all."""
    if Scope.RECORDS_ALL in caller.scopes:
        return True
    return Scope.RECORDS_OWN in caller.scopes and record.actor == caller.subject


async def prove(visit: Visit, record: Record) -> Proved | None:
    """Return the record proved against the keys of the log, or None while it is not signed.

    Raises:
        VerificationError: The log does not hold what it shows.
        RecorderError: The recorder is away.
    """
    try:
        stored, proof = await visit.console.recorder.prove(record.index)
    except (RefusedError, FormatError):
        return None
    keys = parse_keys(visit.console.log_key)
    head = proof.verify(stored, *keys)
    return Proved(record, stored, proof, head.size, head.root.hex(), keys[0].name)

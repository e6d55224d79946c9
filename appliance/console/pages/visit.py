"""The guided visit: five steps on one's own data, from a question to a caught forgery."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import Response

from appliance.audit.event import Fact, Kind
from appliance.audit.key import Verifier, parse_keys
from appliance.audit.proof import Proof
from appliance.audit.tree import leaf_hash
from appliance.console import store
from appliance.console.context import Visit, Visitor
from appliance.console.language import mark
from appliance.console.menu import VISIT
from appliance.console.page import METADATA, NO_CONTENT, highest
from appliance.console.records import Record
from appliance.console.store import LatestRow
from appliance.console.terminal import leaves
from appliance.errors import FormatError, VerificationError
from appliance.identity.principal import Scope
from appliance.rag.documents import UnknownDocumentError

router = APIRouter(include_in_schema=False)
COPIED, LOOKED = 8, 2_000  # leaves of the copy; leaves looked through for what was done
ABSENT = mark("Quel est le calibre du véhicule Vulcain ?")
OWN = mark("Qui signe en l’absence du responsable ?")


@dataclass(frozen=True, slots=True)
class Done:
    """What of the visit was done, from the history and the log."""

    answered: LatestRow | None = None
    opened: bool = False
    unanswered: bool = False
    saved: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A record of the copy, and what the verification said."""

    record: Record
    refused: str = ""  # what failed
    byte: int = 0  # which was changed
    before: str = ""
    after: str = ""


@router.get("/visite")
async def visit_page(visit: Visitor) -> Response:
    """Show the five steps."""
    return await _page(visit, ())


@router.post("/visite/copie")
async def falsify(visit: Visitor) -> Response:
    """Change one byte of a copy of the log's last records, and verify the copy."""
    visit.check(Scope.CHAT)
    done = await _done(visit)
    if done.answered is None:
        raise UnknownDocumentError
    target = done.answered.record
    start = max(target - COPIED + 1, 0)
    copy = await leaves(visit.console.recorder, visit.language, start, target - start + 1)
    own = [record for record in copy if record.actor == visit.caller.subject]
    keys = parse_keys(visit.console.log_key)
    checked = []
    for record in own:
        _, proof = await visit.console.recorder.prove(record.index)
        at = secrets.randbelow(len(record.text)) if record.index == target else None
        checked.append(verify_copy(record, proof, keys, at))
    return await _page(visit, checked)


def verify_copy(
    record: Record, proof: Proof, keys: Sequence[Verifier], at: int | None
) -> Checked:
    """Verify the copy of a record, in which byte `at` was changed."""
    data = bytearray(record.text.encode())
    if at is None:
        return Checked(record, _verify(bytes(data), proof, keys))
    at %= len(data)
    before = chr(data[at])
    data[at] ^= 1
    refused = _verify(bytes(data), proof, keys)
    return Checked(record, refused, at, before, chr(data[at]))


def _verify(data: bytes, proof: Proof, keys: Sequence[Verifier]) -> str:
    try:
        proof.verify(data, *keys)
    except (VerificationError, FormatError) as exc:
        digest = base64.b64encode(leaf_hash(data)).decode()
        return f"{exc} ({digest})"
    return ""


async def _done(visit: Visit) -> Done:
    async with visit.transaction() as conn:
        latest = await store.find_latest(conn)
    answered = next((row for row in latest if row.outcome == "answer"), None)
    unanswered = any(row.outcome == "none" for row in latest)
    size = (await visit.console.recorder.status()).size
    recorder, start = visit.console.recorder, max(size - LOOKED, 0)
    recent = await leaves(recorder, visit.language, start, LOOKED)
    kinds = _kinds(recent, visit.caller.subject)
    return Done(answered, Kind.RAG_OPEN in kinds, unanswered, Kind.AUDIT_EXPORT in kinds)


def _kinds(records: Sequence[Record], subject: str) -> set[Kind]:
    own = (record.event for record in records if record.actor == subject)
    return {event.kind for event in own if isinstance(event, Fact)}


async def _page(visit: Visit, checked: Sequence[Checked]) -> Response:
    visit.check(Scope.CHAT)
    done = await _done(visit)
    rank = highest([one.record.label for one in checked])
    shell = visit.shell(rank, METADATA if checked else NO_CONTENT, VISIT.href)
    flags = (bool(done.answered), done.opened, done.unanswered, done.saved, bool(checked))
    current = flags.index(False) + 1 if False in flags else 0
    return visit.page(
        "visit.html", shell, done=done, flags=flags, current=current, checked=checked,
        own=visit.language.text(OWN), absent=visit.language.text(ABSENT),
    )  # fmt: skip

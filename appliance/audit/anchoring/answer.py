"""What comes back from a witness, checked before it counts. Pure.

An answer is signature lines, as HTTP gives them and as they are carried back in `cosig.txt`; or
a whole note, as the witness serves it. Only what the policy names counts: a key of the log, and
a witness. Lines of others are dropped, a false line of a known key refuses the whole.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.event import FACTS, Fact, Kind
from appliance.audit.key import Verifier
from appliance.audit.note import SIGNATURES_MAX, Note, Signature
from appliance.audit.policy import Policy
from appliance.errors import FormatError, VerificationError


class AnchorError(VerificationError):
    """A checkpoint that came back from elsewhere does not count as an anchor."""

    code = "CM-JRN-22"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint of the log, and who cosigned it when."""

    head: Checkpoint
    note: Note  # lines of the log, then of the witnesses of the policy
    times: Mapping[str, int]  # name in the policy -> seconds since 1970


def join(answer: bytes, asked: bytes) -> bytes:
    """Return the note that an answer makes of the one that was asked about.

    Args:
        answer: Not trusted; signature lines or a note.
        asked: The signed checkpoint of the request.

    Raises:
        FormatError: It is neither.
    """
    if b"\n\n" in answer:
        return answer
    try:
        text = answer.decode()
    except UnicodeDecodeError as exc:
        raise FormatError("the answer is not text") from exc
    lines = text.split("\n")
    if lines.pop() or not 0 < len(lines) <= SIGNATURES_MAX:
        raise FormatError("an answer is signature lines, each with its newline")
    note = Note.parse(asked)
    known = set(note.signatures)
    new = tuple(line for line in map(Signature.parse, lines) if line not in known)
    return Note(note.text, note.signatures + new).to_bytes()


def accept(data: bytes, policy: Policy, origin: str) -> Anchor:
    """Check a note that came back.

    Args:
        data: Not trusted.
        policy: Names the keys of the log and its witnesses.
        origin: Of the log as it is now.

    Raises:
        FormatError: Not a signed checkpoint.
        AnchorError: Of another log, not signed by it, or cosigned by nobody in the policy.
    """
    note = Note.parse(data)
    head = Checkpoint.parse(note.text)
    if head.origin != origin:
        raise AnchorError(f"the checkpoint is of {head.origin}, not of {origin}")
    keys = [key for key in policy.keys if key.name == origin]
    try:
        own = _signed(note, keys)
        times = policy.cosigned(note)
    except VerificationError as exc:
        raise AnchorError(str(exc)) from exc
    if not own or not times:
        raise AnchorError("no key of the log signed it, or no witness of the policy")
    witnesses = [one.cosigner.key for one in policy.witnesses if one.name in times]
    lines = tuple(line for key in [*own, *witnesses] for line in note.of(key))
    return Anchor(head, Note(note.text, lines), times)


def _signed(note: Note, keys: list[Verifier]) -> list[Verifier]:
    own = [key for key in keys if note.of(key)]
    for key in own:
        note.verify(key)
    return own


def merge(one: Note, other: Note) -> Note:
    """Return a note with the lines of both; of each key the last one that is given.

    Args:
        one: What was kept.
        other: What came now: its lines replace those of the same keys.
    """
    assert one.text == other.text
    new = {(line.name, line.key_id) for line in other.signatures}
    old = tuple(line for line in one.signatures if (line.name, line.key_id) not in new)
    own = [line for line in (*old, *other.signatures) if line.name == _origin(one)]
    rest = [line for line in (*old, *other.signatures) if line.name != _origin(one)]
    return Note(one.text, tuple(own + rest))


def _origin(note: Note) -> str:
    return note.text.partition("\n")[0]


def fact_of(anchor: Anchor, name: str, kind: str, actor: str) -> Fact:
    """Return what the log keeps of an anchor: once for each cosignature.

    Args:
        anchor: That was accepted.
        name: Of the witness in the policy.
        kind: `witness` over the network, `file` carried by hand.
        actor: Who brought it.
    """
    digest = hashlib.sha256(anchor.note.to_bytes()).digest()
    named = f"{kind} {name} {anchor.times[name]} ".encode() + digest
    return FACTS[Kind.AUDIT_ANCHOR](
        actor=actor, id=f"anchor-{hashlib.sha256(named).hexdigest()[:40]}",
        data={
            "size": anchor.head.size, "kind": kind, "name": name, "at": anchor.times[name],
            "digest": base64.b64encode(digest).decode(),
        },
    )  # fmt: skip

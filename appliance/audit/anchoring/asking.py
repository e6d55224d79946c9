"""The running recorder is asked for what a witness wants, and told what came back."""

from pathlib import Path

from appliance.audit.anchoring.answer import Anchor, AnchorError, fact_of
from appliance.audit.anchoring.kept import keep
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.client import RecorderClient
from appliance.audit.note import Note
from appliance.audit.tree import verify_consistency
from appliance.audit.witness.request import Request
from appliance.errors import VerificationError


async def request_from(client: RecorderClient, old: int) -> Request:
    """Return the request for a witness that knows `old` leaves.

    Raises:
        RecorderError: The recorder is away.
        RefusedError: The log has not as many, or nothing is signed yet.
    """
    note, path = await client.extend(old)
    return Request(old, tuple(path), note)


async def check_ours(client: RecorderClient, head: Checkpoint) -> None:
    """Check that the log which is running begins with this checkpoint.

    Raises:
        AnchorError: It does not: it was changed, or taken back.
        RecorderError: The recorder is away.
        RefusedError: The log has not as many records.
    """
    note, path = await client.extend(head.size)
    now = Checkpoint.parse(Note.parse(note).text)
    try:
        verify_consistency((head.size, head.root), (now.size, now.root), path)
    except VerificationError as exc:
        raise AnchorError(f"this log does not begin with those records: {exc}") from exc


async def record(
    client: RecorderClient, folder: Path, anchor: Anchor, kind: str, actor: str
) -> tuple[Path, list[int]]:
    """Keep an anchor, then write a leaf for each cosignature; a second time changes nothing.

    Returns:
        The file, and the indexes of the leaves.

    Raises:
        AnchorError: The folder holds another checkpoint of this size.
        OSError: The folder cannot be written.
        RecorderError: The recorder is away.
        RefusedError: This user may not write anchors.
    """
    path = keep(folder, anchor)
    facts = [fact_of(anchor, name, kind, actor) for name in sorted(anchor.times)]
    return path, [answer.index for answer in await client.append_all(facts)]

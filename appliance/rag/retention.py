"""What is older than the site keeps leaves the owners' histories, and its keys are destroyed.

The record is durable and the sealed keys beside the log are destroyed (`audit/erasure.py`)
before the deletion is: a worker that is killed in between records the same rows once more, and
never deletes what no record tells of. Leaves and proofs stay.
"""

from pathlib import Path
from uuid import uuid4

from appliance.audit.event import Kind, fact
from appliance.identity import policy
from appliance.rag import store
from appliance.rag.ingest import Tools

ACTOR = "casemate-worker"
AT_ONCE = 1000  # rows: the recorder overwrites their keys while others wait, some milliseconds


async def erase_old(tools: Tools, path: Path) -> int:
    """Delete the rows that the policy in `path` keeps no longer; return how many.

    Raises:
        FormatError: The policy cannot be read: nothing is deleted.
        RecorderError: The recorder did not take the record: nothing is deleted, or no more.
    """
    months, total = policy.read(path).retention_months, 0
    while count := await _erase_some(tools, months):
        total += count
    return total


async def _erase_some(tools: Tools, months: int) -> int:
    async with tools.pool.connection() as conn:
        records = await store.erase_content(conn, months, AT_ONCE)
        if records:
            event = fact(
                Kind.CONTENT_ERASE, ACTOR, f"erase-{uuid4().hex}",
                count=len(records), months=months, first=min(records), end=max(records) + 1,
            )  # fmt: skip
            await tools.recorder.append(event)
    return len(records)

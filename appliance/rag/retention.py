"""What is older than the site keeps leaves the owners' histories; the log says how many.

The record is durable before the deletion is: a worker that is killed in between records the
same rows once more, and never deletes what no record tells of. Leaves and proofs stay.
"""

from pathlib import Path
from uuid import uuid4

from appliance.audit.event import Kind, fact
from appliance.identity import policy
from appliance.rag import store
from appliance.rag.ingest import Tools

ACTOR = "casemate-worker"


async def erase_old(tools: Tools, path: Path) -> int:
    """Delete the rows that the policy in `path` keeps no longer; return how many.

    Raises:
        FormatError: The policy cannot be read: nothing is deleted.
        RecorderError: The recorder did not take the record: nothing is deleted.
    """
    months = policy.read(path).retention_months
    async with tools.pool.connection() as conn:
        count = await store.erase_content(conn, months)
        if count:
            event = fact(
                Kind.CONTENT_ERASE, ACTOR, f"erase-{uuid4().hex}", count=count, months=months
            )
            await tools.recorder.append(event)
    return count

"""What is older than the site keeps leaves the owners' histories, and its keys are destroyed.

The record is durable and the sealed keys beside the log are destroyed (`audit/erasure.py`)
before the deletion is: a worker that is killed in between records the same rows once more, and
never deletes what no record tells of. Leaves and proofs stay. What is younger than the floor
is erased by nobody: the recorder refuses as well. What is older than the ceiling, whatever
kept it, is told to the log once, and once more when it is gone.
"""

from pathlib import Path
from uuid import uuid4

from appliance.audit.event import Kind, fact
from appliance.errors import ApplianceError
from appliance.identity import policy
from appliance.rag import store
from appliance.rag.elimination.rounds import eliminate
from appliance.rag.ingest import Tools

ACTOR = "casemate-worker"
AT_ONCE = (
    200  # rows: the recorder looks at the age of each while others wait, some milliseconds
)
PART = "retention"  # in the records of the alarm


class RetentionError(ApplianceError):
    """The policy would erase what has to be kept."""

    code = "CM-JRN-50"


async def erase_old(tools: Tools, path: Path) -> int:
    """Delete the rows that the policy in `path` keeps no longer; return how many.

    Raises:
        FormatError: The policy cannot be read: nothing is deleted.
        RetentionError: It keeps contents for less than its floor: nothing is deleted.
        RefusedError: The recorder says that a content is too young: it stays.
        RecorderError: The recorder did not take the record: nothing is deleted, or no more.
    """
    await erase_again(tools)
    rules, total = policy.read(path), 0
    months = rules.retention_months
    if months < rules.retention_floor:
        raise RetentionError(f"{months} months are less than {rules.retention_floor}")
    if rules.retention_visa:
        return await eliminate(tools, months, AT_ONCE)
    while count := await _erase_some(tools, months):
        total += count
    return total


async def erase_again(tools: Tools) -> int:
    """Delete the rows of erased contents that a restored database brought back.

    Their keys are gone, and no visa is asked twice: the recorder knows the ranges.

    Raises:
        RecorderError: The recorder is away: nothing is deleted, or no more.
    """
    total = 0
    for first, end in await tools.recorder.erased():
        async with tools.pool.connection() as conn:
            total += await store.erase_range(conn, first, end)
    if total:
        event = fact(Kind.CONTENT_ERASE, ACTOR, f"again-{uuid4().hex}", count=total, restored=1)
        await tools.recorder.append(event)
    return total


class Ceiling:
    """Tells the log when contents are too old, and when they no longer are."""

    def __init__(self) -> None:
        """Begin without an alarm."""
        self._raised = False

    async def look(self, tools: Tools, path: Path) -> int:
        """Return how many contents are older than the ceiling of the policy in `path`.

        Raises:
            FormatError: The policy cannot be read.
            RecorderError: The recorder did not take the record.
        """
        ceiling = policy.read(path).retention_ceiling
        async with tools.pool.connection() as conn:
            count = await store.count_content(conn, ceiling)
        if bool(count) != self._raised:
            kind = Kind.SERVICE_DEGRADED if count else Kind.SERVICE_RESTORED
            event = fact(
                kind, ACTOR, f"ceiling-{uuid4().hex}", part=PART, count=count, ceiling=ceiling
            )
            await tools.recorder.append(event)
            self._raised = bool(count)
        return count


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

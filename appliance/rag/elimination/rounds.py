"""What the worker does where an elimination waits for a visa: propose, wait, erase, close."""

from uuid import uuid4

from appliance.audit.event import Kind, fact
from appliance.rag.elimination import store
from appliance.rag.elimination.store import ListRow
from appliance.rag.ingest import Tools

ACTOR = "casemate-worker"


async def eliminate(tools: Tools, months: int, at_once: int) -> int:
    """Erase what a list with a visa names, or propose a list; return how many rows went.

    Args:
        tools: Of the worker.
        months: For which contents are kept.
        at_once: Rows in one transaction.

    Raises:
        RefusedError: The recorder does not find the visa, or a content is too young.
        RecorderError: It is away: nothing is deleted, or no more.
    """
    async with tools.pool.connection() as conn:
        waiting = await store.find_open(conn)
        if waiting is None:
            await store.propose(conn, months)
    if waiting is None or waiting.visa is None:
        return 0
    total = 0
    while count := await _erase_some(tools, waiting, at_once):
        total += count
    async with tools.pool.connection() as conn:
        await store.close(conn, waiting.id)
    return total


async def _erase_some(tools: Tools, listed: ListRow, at_once: int) -> int:
    proposal = listed.proposal
    assert listed.visa is not None
    async with tools.pool.connection() as conn:
        bounds = proposal.first, proposal.end
        records = await store.erase_listed(conn, bounds, proposal.newest, at_once)
        if records:
            event = fact(
                Kind.CONTENT_ERASE, ACTOR, f"erase-{uuid4().hex}",
                count=len(records), months=proposal.months, first=min(records),
                end=max(records) + 1, list=proposal.id, visa=listed.visa,
            )  # fmt: skip
            await tools.recorder.append(event)
    return len(records)

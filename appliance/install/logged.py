"""Tells the signed log what was installed, once the recorder of the site runs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from appliance.audit.client import RecorderClient, new_id
from appliance.audit.event import Fact, Kind, fact
from appliance.install.phases import Release
from appliance.install.report import Lap

NAME = "installer"  # under which the recorder knows this client
PATIENCE = 20.0  # seconds for the recorder
ACTOR = "local:installation"


def events(release: Release, laps: Sequence[Lap], journal_head: str) -> list[Fact]:
    """Return one fact per phase; the last also names the release and the journal."""
    made = [
        fact(Kind.INSTALL_PHASE, ACTOR, new_id(), phase=lap.name, seconds=lap.seconds)
        for lap in laps
    ]
    whole = fact(
        Kind.INSTALL_PHASE, ACTOR, new_id(), phase="installation",
        seconds=sum(lap.seconds for lap in laps), version=release.version,
        release=release.release_seq, manifest=release.manifest, journal=journal_head,
    )  # fmt: skip
    return [*made, whole]


def tell(recorder: Path, told: Sequence[Fact]) -> None:
    """Append facts to the log of the site.

    Raises:
        RecorderError: The recorder does not answer.
        RefusedError: It does not take them from this user.
    """
    asyncio.run(_tell(recorder, told))


async def _tell(recorder: Path, told: Sequence[Fact]) -> None:
    client = RecorderClient(recorder, NAME, patience=PATIENCE)
    await client.connect()
    try:
        for one in told:
            await client.append(one)
    finally:
        await client.close()

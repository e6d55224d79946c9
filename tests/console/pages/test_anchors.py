"""Anchors as the log tells of them."""

import time

from appliance.audit.client import RecorderClient
from appliance.audit.event import FACTS, NO_TEXT, Kind
from tests.console.stand import Person, Stand, text_of, values_of


def anchor(stand: Stand, kind: str, size: int) -> int:
    """Record an anchor; return the index of its fact."""

    async def append() -> int:
        client = RecorderClient(stand.site.log.socket, "feeder")
        await client.connect()
        try:
            said: dict[str, str | int] = {
                "kind": kind, "size": size, "at": int(time.time()), "digest": NO_TEXT,
                "name": "rssi.example/w1",
            }  # fmt: skip
            event_id = f"anchor-{kind}-{size:016}"
            event = FACTS[Kind.AUDIT_ANCHOR](actor="feeder", id=event_id, data=said)
            return (await client.append(event)).index
        finally:
            await client.close()

    return stand.loop.run(append())


def test_anchors_are_shown_by_kind_and_lead_to_their_record(
    stand: Stand, auditor: Person
) -> None:
    size = len(stand.leaves())
    index = anchor(stand, "witness", size)
    page = auditor.get("/ancrages")
    assert f"Ancré jusqu’au nº {size - 1}" in text_of(page, "//main").replace("\u202f", "")
    assert "rssi.example/w1" in text_of(page, "//tbody")
    assert f"/journal/{index}" in values_of(page, "//tbody//a/@href")
    assert b'"page":"ancrages"' in stand.leaves()[-1]
    journal = auditor.get("/journal")
    kept = text_of(journal, f"//tr[td/a[@href='/journal/{size - 1}']]/td[last()]")
    assert kept == "ancré"


def test_anchors_are_for_who_controls(clara: Person, operator: Person) -> None:
    assert clara.get("/ancrages").status_code == 403
    assert operator.get("/ancrages").status_code == 403

"""The worker proposes, waits for the visa, erases what it names, and proposes what is next."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from appliance.audit.client import RecorderClient, RefusedError
from appliance.audit.event import FACTS, Kind
from appliance.gateway.store import add_content
from appliance.rag.elimination import store
from appliance.rag.elimination.bordereau import visa_data
from appliance.rag.elimination.store import ListRow
from appliance.rag.retention import erase_old
from tests.rag.library import transaction
from tests.rag.parts import recorder, short_folder, write_policy
from tests.rag.test_retention import AGES, Kept, answer, connected, row

pytestmark = pytest.mark.process


@pytest.fixture
def kept(worker_database: str, gateway_database: str, server: str) -> Iterator[Kept]:
    superuser = make_conninfo(server, dbname=conninfo_to_dict(worker_database)["dbname"])
    with short_folder() as folder, recorder(folder, content_visa=True) as socket:
        at = connected(socket, lambda client: answer(client, list(AGES)))
        rows = [row(name, AGES[name], at[name]) for name in AGES]
        transaction(gateway_database, None, lambda conn: add_content(conn, rows))
        yield Kept(worker_database, superuser, folder, socket, at)


def round_of(kept: Kept) -> int:
    path = write_policy(kept.folder, 12, visa=True)
    erased: int = kept.with_tools(lambda tools: erase_old(tools, path))
    return erased


def lists(kept: Kept) -> list[ListRow]:
    console = make_conninfo(kept.worker, user="casemate_console")
    return transaction(console, None, store.list_eliminations)


def give(kept: Kept, listed: ListRow, **changes: int) -> None:
    """Record a visa and note it, as the gateway and the console do."""
    words = visa_data(listed.proposal, "Essai", "AD 117") | changes

    async def append(client: RecorderClient) -> int:
        made = FACTS[Kind.GATE_DECIDE]
        event = made(actor="dpo", id=f"visa-{listed.id}".ljust(20, "-"), data=words)
        return (await client.append(event)).index

    leaf = connected(kept.socket, append)
    console = make_conninfo(kept.worker, user="casemate_console")
    assert transaction(console, None, lambda conn: store.note_visa(conn, listed.id, leaf))


def test_nothing_goes_before_the_visa_and_all_that_is_listed_after_it(kept: Kept) -> None:
    for _ in range(2):  # a list that waits is not proposed twice
        assert round_of(kept) == 0
        assert len(kept.names()) == len(kept.keys()) == 4
    (listed,) = lists(kept)
    proposal = listed.proposal
    assert proposal.count == 2
    assert (proposal.first, proposal.end) == (kept.records["ancient"], kept.records["old"] + 1)
    assert len(proposal.lines) == 2
    give(kept, listed)
    assert round_of(kept) == 2
    assert kept.names() == kept.keys() == ["year", "young"]
    (event,) = kept.recorded()
    assert event["data"]["list"] == listed.id
    (closed,) = lists(kept)
    assert closed.erased_at
    assert round_of(kept) == 0
    assert len(lists(kept)) == 1


def test_a_visa_for_less_than_the_list_erases_nothing(kept: Kept) -> None:
    round_of(kept)
    (listed,) = lists(kept)
    give(kept, listed, end=listed.proposal.end - 1)
    with pytest.raises(RefusedError) as caught:
        round_of(kept)
    assert caught.value.code == "CM-JRN-56"
    assert len(kept.names()) == len(kept.keys()) == 4


def test_what_aged_since_the_list_waits_for_the_next_one(kept: Kept) -> None:
    round_of(kept)
    (listed,) = lists(kept)
    with psycopg.connect(kept.reader) as conn:
        conn.execute("UPDATE content SET at = now() - interval '13 months'"
                     " WHERE request LIKE 'year-%'")  # fmt: skip
    give(kept, listed)
    assert round_of(kept) == 2
    assert kept.names() == ["year", "young"]
    round_of(kept)
    following = lists(kept)[0]
    assert following.id != listed.id
    assert following.proposal.first == kept.records["year"]

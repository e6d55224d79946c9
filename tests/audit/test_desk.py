import os
import time

import msgspec
import pytest

from appliance.audit import desk
from appliance.audit.desk import Desk
from appliance.audit.event import OWN, Event, Fact, Kind, fact
from appliance.audit.frame import Attach, Prove, Read, Request, Status, Unseal
from appliance.settings import RecorderSettings
from tests.audit.desks import (  # noqa: F401
    STOP,
    UID,
    BrokenError,
    Client,
    ends_are_raised,
    served,
    turn,
)
from tests.audit.parts import Parts, leaves_of
from tests.recording import completion, intent


def test_what_arrives_in_one_turn_shares_one_fdatasync(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)

    async def work(tested: Desk, _: Parts) -> None:
        clients = [Client(tested) for _ in range(20)]
        for number, client in enumerate(clients):
            client.events(intent(number))
        assert not any(client.got for client in clients)
        await turn()
        assert [client.got[0].index for client in clients] == list(range(20))
        assert len(synced) == 1

    served(recorder_settings, work)


def test_nobody_is_answered_before_the_log_is_durable(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tested: Desk, _: Parts) -> None:
        client = Client(tested)
        at_sync: list[int] = []
        monkeypatch.setattr(os, "fdatasync", lambda _: at_sync.append(len(client.got)))
        client.events(intent(1))
        client.events(intent(1), ref=2)  # sent again before the first is durable
        client.events(completion(9), ref=3)  # a refusal waits too: order of answers
        await turn()
        assert at_sync == [0]
        assert [(a.ref, a.index, a.error) for a in client.got] == [
            (1, 0, ""), (2, 0, ""), (3, -1, "CM-JRN-02"),
        ]  # fmt: skip

    served(recorder_settings, work)


def test_a_disk_error_ends_the_process_and_answers_nobody(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("disk error")

    async def work(tested: Desk, _: Parts) -> None:
        client = Client(tested)
        client.events(intent(1))
        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(BrokenError):
            tested._commit()
        assert client.got == []

    served(recorder_settings, work)


@pytest.mark.parametrize("kind", sorted(OWN))
def test_what_the_recorder_alone_writes_is_refused_to_everyone(
    recorder_settings: RecorderSettings, kind: Kind
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        client = Client(tested)
        client.events(fact(kind, "ada", "forged-000000001"))
        await turn()
        assert client.codes() == ["CM-JRN-05"]
        assert parts.volume.size == 0

    served(recorder_settings, work)


@pytest.mark.parametrize(
    ("words", "event", "code"),
    [
        pytest.param({"*"}, intent(1), "", id="all types"),
        pytest.param({"casemate.llm.request.v1"}, intent(1), "", id="its type"),
        pytest.param({"casemate.llm.request.v1"}, STOP, "CM-JRN-05", id="another type"),
        pytest.param(
            {"casemate.key.issue.v1", "read"}, intent(1), "CM-JRN-05", id="a fact only"
        ),
        pytest.param(set(), intent(1), "CM-JRN-05", id="nothing"),
    ],
)
def test_each_user_id_writes_the_types_of_the_table(
    recorder_settings: RecorderSettings, words: set[str], event: Event, code: str
) -> None:
    async def work(tested: Desk, _: Parts) -> None:
        client, stranger = Client(tested), Client(tested, uid=UID + 1)
        client.events(event)
        stranger.events(event)
        await turn()
        assert client.codes() == [code]
        assert stranger.codes() == ["CM-JRN-05"]

    served(recorder_settings, work, clients={UID: frozenset(words)})


@pytest.mark.parametrize(
    ("words", "question", "code"),
    [
        (set(), Status(1), ""),
        (set(), Prove(0, 1), "CM-JRN-05"),  # a proof comes with its leaf
        ({"read"}, Prove(0, 1), ""),
        (set(), Read(1, 1, 0), "CM-JRN-05"),
        ({"read"}, Read(1, 1, 0), ""),
        ({"*"}, Read(1, 1, 0), ""),
        ({"read"}, Unseal(0, 1), "CM-JRN-05"),
        ({"sealed"}, Unseal(0, 1), "CM-JRN-04"),  # may ask; there is none
        ({"*"}, Unseal(0, 1), "CM-JRN-04"),
    ],
)
def test_leaves_and_keys_are_for_who_may_ask(
    recorder_settings: RecorderSettings, words: set[str], question: Request, code: str
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        parts.append(intent(1))
        parts.publish()
        client, stranger = Client(tested), Client(tested, uid=UID + 1)
        client.ask(question)
        stranger.ask(question)
        await client.has(1)
        await stranger.has(1)
        assert client.codes() == [code]
        assert stranger.codes() == ["CM-JRN-05"]

    served(recorder_settings, work, clients={UID: frozenset(words)})


def test_an_intent_that_waited_too_long_is_refused_and_an_end_is_not(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        client = Client(tested)
        client.events(intent(1), intent(2))
        old = time.monotonic_ns() // 1000 - 2_100_000
        client.events(intent(3), completion(1), ref=3, sent=old)
        client.events(intent(4), ref=5, sent=old + 2_000_000)
        await turn()
        assert client.codes() == ["", "", "CM-JRN-01", "", ""]
        assert len(parts.writer.admission.open) == 2

    served(recorder_settings, work, append_timeout=2)


def test_the_switch_is_told_to_everyone_who_is_attached_once_it_is_durable(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Desk, _: Parts) -> None:
        gateways = [Client(tested) for _ in range(2)]
        for number, gateway in enumerate(gateways):
            gateway.ask(Attach(f"gateway-{number}", [], 0))
        rssi = Client(tested)
        rssi.events(STOP)
        rssi.events(intent(1), ref=2)
        await turn()
        rssi.events(fact(Kind.SERVICE_APPROVE, "ada", "approve-00000001"), ref=3)
        await turn()
        told = [[answer.stopped for answer in gateway.got] for gateway in gateways]
        assert told == [[False, True], [False, True]]
        rssi.events(fact(Kind.SERVICE_APPROVE, "bob", "approve-00000002"), ref=4)
        rssi.events(intent(1), ref=5)
        await turn()
        assert [gateway.got[-1].stopped for gateway in gateways] == [False, False]
        assert rssi.codes() == ["", "CM-MOD-05", "", "", ""]
        late = Client(tested)
        late.ask(Attach("late", [], 0))
        await turn()
        assert [(answer.ref, answer.stopped) for answer in late.got] == [(0, False)]

    served(recorder_settings, work)


def test_a_stopped_service_stays_stopped_over_a_restart(
    recorder_settings: RecorderSettings,
) -> None:
    async def stop(tested: Desk, _: Parts) -> None:
        Client(tested).events(STOP)
        await turn()

    async def after(tested: Desk, _: Parts) -> None:
        client = Client(tested)
        client.ask(Attach("gateway-0", [], 0))
        client.events(intent(1))
        await turn()
        assert client.got[0].stopped is True
        assert client.codes() == ["", "CM-MOD-05"]

    served(recorder_settings, stop)
    served(recorder_settings, after)


def test_questions_without_end_are_refused(recorder_settings: RecorderSettings) -> None:
    async def work(tested: Desk, _: Parts) -> None:
        client = Client(tested)
        for ref in range(desk.QUESTIONS_MAX + 2):
            client.ask(Status(ref))
        await client.has(desk.QUESTIONS_MAX + 2)
        assert client.codes().count("CM-JRN-01") == 2
        client.ask(Status(9999))
        await client.has(desk.QUESTIONS_MAX + 3)
        assert client.codes()[-1] == ""

    served(recorder_settings, work)


def test_a_start_and_a_stop_are_leaves_and_nothing_follows_a_stop(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        tested.start("crash", 17)
        client = Client(tested)
        client.events(intent(1))
        await tested.stop()
        client.events(completion(1), ref=2)
        await turn()
        assert [answer.ref for answer in client.got] == [1]
        assert parts.publisher.head.size == 3
        first, _, last = leaves_of(recorder_settings)
        assert isinstance(first.event, Fact)
        assert isinstance(last.event, Fact)
        data = first.event.data
        assert (data["previous_shutdown"], data["truncated_bytes"]) == ("crash", 17)
        assert (data["orphans"], last.event.kind) == (0, Kind.AUDIT_STOP)

    served(recorder_settings, work)


def test_answers_are_of_the_protocol(recorder_settings: RecorderSettings) -> None:
    async def work(tested: Desk, _: Parts) -> None:
        client = Client(tested)
        client.events(intent(1))
        await turn()
        body = msgspec.json.decode(msgspec.json.encode(client.got[0]))
        assert body.keys() == {"ref", "index", "leaf"}

    served(recorder_settings, work)

"""The running recorder is asked for requests, and told of anchors that are its own."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.audit.anchoring import asking
from appliance.audit.anchoring.answer import AnchorError, accept, join
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.client import RecorderClient, RefusedError
from appliance.audit.cosignature import WitnessKey
from appliance.audit.event import Kind, fact
from appliance.audit.key import Signer
from appliance.audit.note import sign
from appliance.audit.policy import Policy
from appliance.audit.witness.request import judge
from appliance.settings import RecorderSettings
from tests.recording import ORIGIN, SEED, running

SIGNER = Signer(ORIGIN, SEED)
RSSI = WitnessKey("rssi.example/w1", bytes(32))
POLICY = Policy.parse(
    f"log {SIGNER.verifier.text()}\nwitness rssi {RSSI.cosigner.text()}\nquorum rssi\n"
)


def asked(
    settings: RecorderSettings, work: Callable[[RecorderClient], Awaitable[None]]
) -> None:
    async def run() -> None:
        client = RecorderClient(settings.socket, "test")
        await client.connect()
        answers = await client.append_all(
            fact(Kind.AUDIT_SEARCH, "ada", f"search-{n:010d}") for n in range(20)
        )
        await client.prove(answers[-1].index)
        await work(client)
        await client.close()

    with running(settings):
        asyncio.run(run())


def test_a_request_from_the_running_log_is_what_a_witness_wants(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    async def work(client: RecorderClient) -> None:
        first = await asking.request_from(client, 0)
        judge(first, SIGNER.verifiers, None)
        seen = first.checkpoint
        await client.prove(
            (await client.append(fact(Kind.AUDIT_SEARCH, "ada", "x" * 16))).index
        )
        grown = await asking.request_from(client, seen.size)
        assert grown.checkpoint.size == seen.size + 1
        note = judge(grown, SIGNER.verifiers, seen)
        with pytest.raises(RefusedError):
            await asking.request_from(client, grown.checkpoint.size + 1)

        line = RSSI.cosign(note.text, 100).line().encode()
        anchor = accept(join(line, grown.note), POLICY, ORIGIN)
        await asking.check_ours(client, anchor.head)
        kept, places = await asking.record(client, tmp_path / "a", anchor, "file", "local:ada")
        assert kept.read_bytes() == anchor.note.to_bytes()
        again = await asking.record(client, tmp_path / "a", anchor, "file", "local:ada")
        assert again == (kept, places)  # nothing new

    asked(recorder_settings, work)


def test_an_anchor_of_another_history_is_refused(recorder_settings: RecorderSettings) -> None:
    async def work(client: RecorderClient) -> None:
        note, _ = await client.extend(0)
        assert note
        other = Checkpoint(ORIGIN, 7, bytes(32))
        signed = sign(other.text(), SIGNER)
        line = RSSI.cosign(signed.text, 100).line().encode()
        anchor = accept(join(line, signed.to_bytes()), POLICY, ORIGIN)
        with pytest.raises(AnchorError, match="does not begin"):
            await asking.check_ours(client, anchor.head)

    asked(recorder_settings, work)

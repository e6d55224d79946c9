"""The feeder, between a recorder that runs and a witness that serves."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from appliance.audit.anchoring.feeder import Feeder
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.client import RecorderClient
from appliance.audit.cosignature import WitnessKey
from appliance.audit.event import Fact, Kind, fact
from appliance.audit.key import Signer
from appliance.audit.note import Note
from appliance.audit.policy import Policy
from appliance.audit.witness.memory import read_key
from appliance.errors import VerificationError
from appliance.settings import RecorderSettings
from appliance.trail_settings import FeederSettings, WitnessSettings
from tests.audit.parts import leaves_of
from tests.audit.witness.servers import NAME, served, settings_of
from tests.recording import ORIGIN, SEED, new_log, refused_start, running

LOG_KEY = Signer(ORIGIN, SEED).verifier.text()
HOUR = 3600.0


@dataclass
class Site:
    """A log, its witness, and the folder of anchors between them."""

    recorder: RecorderSettings
    witness: WitnessSettings
    url: str = ""

    @property
    def anchors(self) -> Path:
        return self.recorder.directory / "anchors"

    def policy(self, key: WitnessKey | None = None) -> Path:
        cosigner = (key or read_key(self.witness.directory, NAME)).cosigner
        path = self.recorder.directory.parent / "policy"
        path.write_text(f"log {LOG_KEY}\nwitness rssi {cosigner.text()}\nquorum rssi\n")
        return path

    def settings(self, key: WitnessKey | None = None) -> FeederSettings:
        return FeederSettings(
            recorder=self.recorder.socket, anchors=self.anchors, policy=self.policy(key),
            witnesses={"rssi": self.url}, timeout=5,
        )  # fmt: skip

    def sizes(self) -> list[int]:
        return sorted(int(path.stem) for path in self.anchors.glob("*.note"))

    def told(self) -> list[tuple[str, object, object]]:
        facts = [leaf.event for leaf in leaves_of(self.recorder)]
        return [
            (event.kind.split(".")[2], event.data.get("size"), event.data.get("reason"))
            for event in facts
            if isinstance(event, Fact) and event.actor == "feeder"
        ]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site").mkdir()
    (tmp_path / "witness").mkdir()
    recorder = new_log(tmp_path / "site", checkpoint_interval=0.05)
    witness = settings_of(tmp_path / "witness", [LOG_KEY])
    return Site(recorder, witness)


Work = Callable[[Feeder, RecorderClient], Awaitable[None]]


def fed(site: Site, work: Work, key: WitnessKey | None = None) -> None:
    """Run the work with a feeder whose recorder runs."""

    async def run() -> None:
        client = RecorderClient(site.recorder.socket, "feeder")
        await client.connect()
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            settings = site.settings(key)
            policy = Policy.parse(settings.policy.read_text())
            await work(Feeder(settings, policy, client, http), client)
        await client.close()

    asyncio.run(run())


async def grow(client: RecorderClient, name: str) -> int:
    """Record a search, and return when it is signed."""
    answer = await client.append(fact(Kind.AUDIT_SEARCH, "ada", f"search-{name:>010}"))
    await client.prove(answer.index)
    return answer.index


async def signed(client: RecorderClient) -> int:
    state = await client.status()
    await client.prove(state.size - 1)
    return state.size


def test_a_log_that_grew_is_anchored_and_one_that_did_not_is_left_alone(site: Site) -> None:
    async def work(feeder: Feeder, client: RecorderClient) -> None:
        size = await grow(client, "1") + 1
        await feeder.look("rssi", 0)
        assert site.sizes() == [size]
        now = await client.status()
        assert now.anchored is not None
        assert (now.anchored.size, now.anchored.kind) == (size, "witness")
        await signed(client)  # with the leaf of the anchor
        await feeder.look("rssi", 60)
        assert site.sizes() == [size]
        grown = await grow(client, "2") + 1
        await feeder.look("rssi", 120)
        assert site.sizes() == [size, grown]
        assert site.told() == [("anchor", size, None), ("anchor", grown, None)]

    with running(site.recorder), served(site.witness) as site.url:
        fed(site, work)
    note = Note.parse((site.anchors / f"{site.sizes()[0]}.note").read_bytes())
    cosigner = read_key(site.witness.directory, NAME).cosigner
    assert cosigner.time_of(note)


def test_after_an_hour_the_same_log_is_anchored_for_the_time(site: Site) -> None:
    async def work(feeder: Feeder, client: RecorderClient) -> None:
        await grow(client, "1")
        await feeder.look("rssi", 0)
        await signed(client)
        await feeder.look("rssi", HOUR - 1)
        assert len(site.told()) == 1
        await feeder.look("rssi", HOUR)
        assert len(site.told()) == 2

    with running(site.recorder), served(site.witness) as site.url:
        fed(site, work)


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_feeder_started_again_goes_on_where_the_witness_is(
    site: Site, *, forgotten: bool
) -> None:
    async def once(feeder: Feeder, client: RecorderClient) -> None:
        await grow(client, "1")
        await feeder.look("rssi", 0)
        assert feeder.standings["rssi"].failures == 0

    async def again(feeder: Feeder, client: RecorderClient) -> None:
        size = await grow(client, "2") + 1
        await feeder.look("rssi", 0)
        assert feeder.standings["rssi"].known == size
        assert site.sizes()[-1] == size

    with running(site.recorder), served(site.witness) as site.url:
        fed(site, once)
        if forgotten:
            shutil.rmtree(site.anchors)
        fed(site, again)


def test_a_witness_that_is_away_is_asked_less_often_and_said_after_a_quarter_of_an_hour(
    site: Site,
) -> None:
    async def away(feeder: Feeder, client: RecorderClient) -> None:
        await grow(client, "1")
        standing, asked = feeder.standings["rssi"], []
        for now in range(0, 1800, 60):
            before = standing.failures
            await feeder.look("rssi", now)
            asked += [now] if standing.failures > before else []
        assert asked == [0, 60, 180, 420, 900]
        assert site.told() == [("degraded", None, "unreachable")]
        with served(site.witness):
            await feeder.look("rssi", 1860)
        assert [what for what, _, _ in site.told()] == ["degraded", "anchor", "restored"]
        assert standing.failing_since is None

    with running(site.recorder):
        with served(site.witness) as site.url:
            pass
        fed(site, away)


def test_what_another_key_cosigned_is_no_anchor(site: Site) -> None:
    other = WitnessKey(NAME, bytes(32))

    async def work(feeder: Feeder, client: RecorderClient) -> None:
        await grow(client, "1")
        await feeder.look("rssi", 0)
        assert feeder.standings["rssi"].failures == 1
        assert site.sizes() == []
        assert site.told() == []

    with running(site.recorder), served(site.witness) as site.url:
        fed(site, work, other)


def test_the_cosignature_of_another_witness_of_the_policy_is_not_its_own(site: Site) -> None:
    other = WitnessKey("dpo.example/w", bytes(32)).cosigner.text()

    async def work(feeder: Feeder, client: RecorderClient) -> None:
        text = site.policy().read_text()
        real = text.split("\n")[1].replace("witness rssi", "witness dpo")
        lines = [text.split("\n")[0], f"witness rssi {other}", real, "quorum dpo", ""]
        policy = Policy.parse("\n".join(lines))
        await grow(client, "1")
        stranger = Feeder(site.settings(), policy, client, feeder._http)
        await stranger.look("rssi", 0)
        assert stranger.standings["rssi"].failures == 1
        assert site.told() == []

    with running(site.recorder), served(site.witness) as site.url:
        fed(site, work)


def test_a_witness_of_the_settings_has_to_be_in_the_policy(site: Site) -> None:
    async def work(feeder: Feeder, client: RecorderClient) -> None:
        settings = site.settings().model_copy(update={"witnesses": {"dpo": site.url}})
        policy = Policy.parse(settings.policy.read_text())
        with pytest.raises(VerificationError, match="dpo"):
            Feeder(settings, policy, client, feeder._http)

    with running(site.recorder), served(site.witness) as site.url:
        fed(site, work)


def test_a_machine_taken_back_whole_is_told_by_the_witness_and_does_not_start_again(
    site: Site, tmp_path: Path
) -> None:
    """Everything is restored: log, last signed root, anchors. Nothing here can know."""

    async def once(feeder: Feeder, client: RecorderClient) -> None:
        await grow(client, "1")
        await feeder.look("rssi", 0)

    async def more(feeder: Feeder, client: RecorderClient) -> None:
        await client.append_all(
            fact(Kind.AUDIT_SEARCH, "ada", f"search-more-{n:06d}") for n in range(9)
        )
        await grow(client, "2")
        await feeder.look("rssi", 0)

    async def back(feeder: Feeder, client: RecorderClient) -> None:
        size = await grow(client, "3") + 1
        await feeder.look("rssi", 0)
        assert feeder.standings["rssi"].alarmed
        assert site.sizes()[-1] > size
        assert site.told()[-1] == ("degraded", None, "ahead")

    with served(site.witness) as site.url:
        with running(site.recorder):
            fed(site, once)
        shutil.copytree(tmp_path / "site", tmp_path / "image")
        with running(site.recorder):
            fed(site, more)
        shutil.rmtree(tmp_path / "site")
        (tmp_path / "image").rename(tmp_path / "site")
        with running(site.recorder):
            fed(site, back)
    assert "RollbackError" in refused_start(site.recorder)
    kept = Note.parse((site.anchors / f"{site.sizes()[-1]}.note").read_bytes())
    assert Checkpoint.parse(kept.text).origin == ORIGIN

"""Which processes, and commands of the site, have a settings file, and its model."""

from enum import StrEnum

from pydantic import BaseModel

from appliance.front_settings import FrontSettings
from appliance.settings import (
    ApplySettings,
    ConsoleSettings,
    EngineSettings,
    GatewaySettings,
    KeycloakSettings,
    ProvisionSettings,
    RecorderSettings,
    WorkerSettings,
)
from appliance.trail_settings import (
    EventsSettings,
    FeederSettings,
    ForwarderSettings,
    HeartbeatSettings,
    IndexerSettings,
    ReaderSettings,
    WitnessSettings,
)


class Part(StrEnum):
    """A process, or a command of the site, with a settings file."""

    GATEWAY, CONSOLE, WORKER = "gateway", "console", "worker"
    ENGINE, RECORDER = "engine", "recorder"
    READER, INDEXER = "reader", "indexer"
    EVENTS, WITNESS = "events", "witness"
    FEEDER = "feeder"
    HEARTBEAT = "heartbeat"
    FORWARDER = "forwarder"
    IDENTITY, APPLY, KEYCLOAK, FRONT = "identity", "apply", "keycloak", "front"


MODELS: dict[Part, type[BaseModel]] = {
    Part.GATEWAY: GatewaySettings, Part.CONSOLE: ConsoleSettings, Part.WORKER: WorkerSettings,
    Part.ENGINE: EngineSettings, Part.RECORDER: RecorderSettings,
    Part.READER: ReaderSettings, Part.INDEXER: IndexerSettings,
    Part.HEARTBEAT: HeartbeatSettings,
    Part.FORWARDER: ForwarderSettings,
    Part.EVENTS: EventsSettings, Part.WITNESS: WitnessSettings,
    Part.FEEDER: FeederSettings,
    Part.IDENTITY: ProvisionSettings, Part.APPLY: ApplySettings,
    Part.KEYCLOAK: KeycloakSettings, Part.FRONT: FrontSettings,
}  # fmt: skip

"""Settings of the processes around the signed log: one TOML file each, as in `settings`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from appliance.settings import Strict


class IndexerSettings(Strict):
    """Keys of `indexer.toml`: what keeps the searchable copy of the log."""

    database: str
    """libpq connection string of role `casemate_indexer`, Unix socket, no password."""

    recorder: Path
    """Unix socket of the recorder."""

    interval: PositiveFloat = 0.5
    """Seconds between two looks at the log, when nothing came."""

    compare_interval: PositiveFloat = 3_600
    """Seconds between two comparisons of the whole copy with the log."""


class HeartbeatSettings(Strict):
    """Keys of `heartbeat.toml`: what others count, that the log has to agree with."""

    recorder: Path
    """Unix socket of the recorder."""

    engines: Mapping[str, Path] = {}
    """Name of a model that answers to the Unix socket of its engine, as for the gateways."""

    front: str | None = None
    """Address of haproxy's measures, such as `http://127.0.0.1:8404`."""

    every: PositiveInt = 300
    """Seconds between two heartbeats. Three that are missing are a gap for who verifies."""


class ReaderSettings(Strict):
    """Keys of `reader.toml`: what opens a sealed content for two people."""

    socket: Path
    """Unix socket on which the console asks. Its directory decides who can reach it."""

    clients: frozenset[int]
    """User ids that may ask: the console's."""

    gateways: frozenset[int]
    """User ids whose approvals count, as the recorder stamps them: the gateways'."""

    recorder: Path
    """Unix socket of the recorder."""

    database: str
    """libpq connection string of role `casemate_opener`, Unix socket, no password."""

    policy: Path
    """Policy of the site, for how long contents are kept (JSON)."""

    keys: Path
    """Folder of the months' private keys and of the approvals that were used; its own."""

    wrapping_key: Path
    """32 bytes or more: under which the months' keys are kept (systemd credential)."""

    public_key: Path
    """File for the public half of the month's key, which the gateways follow."""


class EventsSettings(Strict):
    """Keys of `events.toml`: what follows Keycloak's own tables of events."""

    keycloak: str
    """Keycloak on the loopback, such as `http://127.0.0.1:18080/auth`."""

    client_id: str = "casemate-events"
    """Its client in each realm, which may look at events and at nothing else."""

    client_secret: Path
    """Its secret (systemd credential)."""

    recorder: Path
    """Unix socket of the recorder."""

    state: Path
    """File of how far each table was read, made at the first start."""

    interval: PositiveFloat = 5
    """Seconds between two readings."""


class ForwarderSettings(Strict):
    """Keys of `forwarder.toml`: the copy of the log at the collector of the site."""

    recorder: Path
    """Unix socket of the recorder."""

    state: Path
    """Folder of the cursor, and of the figures for the monitoring."""

    host: Annotated[str, Field(pattern=r"\A[!-~]{1,255}\z")]
    """Name of this machine on each line."""

    collector: str
    """Name of the collector, as in its certificate and in the hosts of the site."""

    port: PositiveInt = 6514
    """Its port, TCP."""

    authority: Path
    """Authority of its certificate (PEM)."""

    certificate: Path
    """Our certificate and its chain, of an authority that it knows (PEM)."""

    key: Path
    """Key of that certificate (PEM, systemd credential)."""

    enterprise: PositiveInt = 32473
    """Private enterprise number in the structured data (RFC 5424, 7.2.2)."""

    patience: PositiveFloat = 30
    """Seconds before a collector that takes nothing is given up."""

    settle_seconds: PositiveFloat = 60
    """Seconds after which the connection is made anew, to learn what arrived."""

    anchor_seconds: NonNegativeInt = 3_600
    """Seconds at least between two anchors `syslog` in the log; 0: none is recorded."""

    alarm_seconds: PositiveInt = 900
    """Seconds without collector after which the log says so."""


class WitnessSettings(Strict):
    """Keys of `witness.toml`: who cosigns the log, on a machine that is not the site's."""

    name: str
    """Name of the witness, in its key and on each cosignature. Never changes."""

    directory: Path
    """Its key, and the last checkpoint of each log. Made by `casemate witness init`."""

    logs: tuple[str, ...]
    """Verifier keys of the logs that it follows: those of the installation report."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: PositiveInt = 8787
    """Port to listen on, TCP."""

    prefix: str = ""
    """Path before the routes, such as `/temoin`."""


class FeederSettings(Strict):
    """Keys of `feeder.toml`: what brings the checkpoints of the log to its witnesses."""

    recorder: Path
    """Unix socket of the recorder."""

    anchors: Path
    """Folder of the anchored checkpoints; the recorder reads it at its start."""

    policy: Path
    """Policy with the keys of the log and of the witnesses (tlog-policy)."""

    witnesses: Mapping[str, str]
    """Name of a witness in the policy to the address before `/add-checkpoint`."""

    interval: PositiveFloat = 60
    """Seconds between two looks at the log."""

    refresh: PositiveFloat = 3_600
    """Seconds after which a log that did not grow is cosigned again, for the time."""

    alarm: PositiveFloat = 900
    """Seconds without a cosignature after which the log says so."""

    timeout: PositiveFloat = 20
    """Seconds that a witness has to answer."""

"""Settings: one TOML file per process, read once by `main`, passed down.

Nothing else reads configuration. A secret is the path of a file, never a value.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from appliance.errors import ApplianceError

SECRET_BYTES = 32


class SettingsError(ApplianceError):
    """A settings file or a credential is missing, unreadable, or wrong."""


class Strict(BaseModel):
    """Read-only, and no key that is not ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RealmSettings(Strict):
    """Where tokens come from."""

    issuer: str
    """`iss` of the site realm's tokens: the public address of the realm."""

    backchannel: str
    """Address of the realm as this process reaches it (keys, tokens), on the loopback."""

    audience: str = "casemate-gateway"
    """`aud` that a token must carry."""


class GatewaySettings(Strict):
    """Keys of `gateway.toml`: one gateway worker."""

    socket: Path
    """Unix socket on which it listens."""

    database: str
    """libpq connection string of role `casemate_gateway`, Unix socket, no password."""

    recorder: Path
    """Unix socket of the recorder."""

    policy: Path
    """Policy of the site, written by `casemate site apply` (JSON)."""

    realm: RealmSettings

    engines: Mapping[str, Path]
    """Model name to Unix socket of its chat engine."""

    embedder: Path | None = None
    """Unix socket of the embedding engine."""

    embedding_model: str = "all-minilm-l6-v2"
    """Name under which the embedding model is offered."""

    name: str = "gateway-0"
    """Name under which the recorder knows this worker, kept across its restarts."""

    site_secret: Path
    """Secret of the site, 32 bytes or more: keys' digests, cache salts (systemd credential)."""

    history_key: Path
    """X25519 public key (32 bytes) to which content is sealed."""

    reader_key: Path | None = None
    """X25519 public key of the reader for this month, to which content is sealed as well;
    followed when the reader replaces it. None: nobody but the owner opens a content."""

    request_timeout: PositiveInt = 120
    """Seconds before a model call is given up."""


class ConsoleSettings(Strict):
    """Keys of `console.toml`: the web console."""

    socket: Path
    """Unix socket on which it listens."""

    origin: str
    """Public origin, such as `http://localhost:8080`; no other one is accepted."""

    site: str
    """Name of the site, on each page."""

    database: str
    """libpq connection string of role `casemate_console`, Unix socket, no password."""

    gateway: Path
    """Unix socket of the gateway (or of haproxy before several)."""

    recorder: Path
    """Unix socket of the recorder."""

    policy: Path
    """Policy of the site, written by `casemate site apply` (JSON)."""

    realm: RealmSettings

    client_id: str = "casemate-console"
    """OpenID Connect client of the console."""

    client_secret: Path
    """Its secret (systemd credential)."""

    session_key: Path
    """32 bytes or more: sessions are encrypted under it (systemd credential)."""

    site_secret: Path
    """Secret of the site, as the gateway has it: application keys' digests."""

    history_key: Path
    """X25519 private key (32 bytes) that opens the owners' history (systemd credential)."""

    objects: Path
    """Folder of the encrypted originals."""

    object_key: Path
    """32 bytes or more: originals are encrypted under keys derived from it (credential)."""

    reader: Path | None = None
    """Unix socket of the reader of sealed contents; None: there is no such page."""

    log_key: Path
    """Verifier key of the log, as in the installation report."""

    exports: Path | None = None
    """Folder of the exports that the worker writes; None: they are made at the rack."""

    time_zone: str = "Europe/Paris"
    """Of dates on pages."""

    health: Mapping[str, str] = {}
    """Name of a part to its health address or socket, for « Modèles et santé »."""


class WorkerSettings(Strict):
    """Keys of `worker.toml`: the worker of durable jobs."""

    database: str
    """libpq connection string of role `casemate_worker`, Unix socket, no password."""

    gateway: Path
    """Unix socket of the gateway, for embeddings."""

    recorder: Path
    """Unix socket of the recorder."""

    policy: Path
    """Policy of the site, for how long contents are kept (JSON)."""

    realm: RealmSettings

    client_id: str = "casemate-worker"
    """OpenID Connect client of the worker."""

    client_secret: Path
    """Its secret (systemd credential)."""

    objects: Path
    """Folder of the encrypted originals."""

    object_key: Path
    """32 bytes or more: originals are encrypted under keys derived from it (credential)."""

    embedding_model: str = "all-minilm-l6-v2"
    """Model asked for vectors."""

    parser: Path | None = None
    """Unix socket behind which systemd starts the parser; None: a child of the worker."""

    log: Path | None = None
    """Folder of the log, for the exports that auditors ask for; None: it writes none."""

    exports: Path | None = None
    """Folder in which it writes them."""


class EngineSettings(Strict):
    """Keys of `engine.toml`: the built-in extractive engine."""

    socket: Path
    """Unix socket on which it listens."""

    model: str = "extraits"
    """Name under which it answers."""


class ProvisionSettings(Strict):
    """Keys of `identity.toml`: what `casemate identity provision` makes of Keycloak."""

    keycloak: str
    """Keycloak on the loopback, such as `http://127.0.0.1:18080/auth`."""

    origin: str
    """Public origin of the console."""

    admin_origin: str = ""
    """Public origin of the administrators' front end; empty where there is none."""

    bootstrap_secret: Path
    """Secret of the temporary client of the first start (systemd credential)."""

    provision_secret: Path
    """Secret of `casemate-provision` in each realm (systemd credential)."""

    console_secret: Path
    """Secret of `casemate-console` (systemd credential)."""

    worker_secret: Path
    """Secret of `casemate-worker` (systemd credential)."""

    events_secret: Path
    """Secret of `casemate-events` in each realm (systemd credential)."""


class ApplySettings(Strict):
    """Keys of `apply.toml`: where `casemate site apply` puts what `site.toml` declares."""

    keycloak: str
    """Keycloak on the loopback, such as `http://127.0.0.1:18080/auth`."""

    provision_secret: Path
    """Secret of `casemate-provision` in each realm (systemd credential)."""

    database: str
    """libpq connection string of role `casemate_worker`, Unix socket, no password."""

    recorder: Path
    """Unix socket of the recorder."""

    policy: Path
    """Policy that gateway and console read; written here."""

    accounts: Path | None = None
    """Accounts made here, their first passwords and one-time code secrets, for their owners."""

    administrator: Annotated[str, Field(pattern=r"\A([a-z0-9][a-z0-9._-]{1,62})?\z")] = ""
    """First administrator, made when the file declares none; empty: nobody is made."""


class KeycloakSettings(Strict):
    """Keys of `keycloak.toml`: how `casemate site keycloak` sets up Keycloak on a site."""

    archive: Path
    """The distribution in the verified release (tar.gz)."""

    homes: Path
    """Folder of the built homes; the one in use is named `current`."""

    configuration: Path
    """File with Keycloak's own settings and secrets, read by root alone (credential)."""

    origin: str
    """Public origin of the users' front end."""

    admin_origin: str
    """Public origin of the administrators' front end."""

    port: PositiveInt = 8080
    """On 127.0.0.1."""

    management_port: PositiveInt = 9000
    """On 127.0.0.1: health and metrics."""

    database_port: PositiveInt = 5432
    """Of PostgreSQL on 127.0.0.1."""

    database_secret: Path
    """Password of the role `keycloak` in PostgreSQL."""

    bootstrap_secret: Path
    """Secret of the temporary client of the first start."""


class RecorderSettings(Strict):
    """Keys of `recorder.toml`, the settings of the recorder."""

    origin: str
    """Name of the log, first line of each checkpoint. Never changes once the log exists."""

    directory: Path
    """The log, on its own volume. Made by `casemate audit init`, never by the recorder."""

    last_signed: Path
    """Folder of the last signed root, on another volume, outside the backups."""

    anchors: Path | None = None
    """Folder of `<size>.note`: the anchored checkpoints with what witnesses signed under them.
    Without it, `anchors` in the folder of the log."""

    known: Path | None = None
    """Folder of `<size>.note`: checkpoints of this log that came back from elsewhere, read at
    each start. Without it, `known` in the folder of the last signed root."""

    socket: Path
    """Unix socket on which events arrive. Its directory decides who can reach it."""

    clients: Mapping[int, frozenset[str]]
    """User id of a client to the event types that it may write; `*` stands for all."""

    content_floor_months: NonNegativeInt = 6
    """Months for which no content is erased, whoever asks; 0: no floor."""

    content_visa: bool = False
    """No content is erased without the record of a visa for its range."""

    append_timeout: PositiveFloat = 2
    """Seconds before an append that is not durable is answered with a refusal."""

    time_zone: str = "Europe/Paris"
    """In which the periods of budgets begin."""

    log_floor_months: PositiveInt = 6
    """Records younger than that are not pruned, whoever asks."""

    log_months: Literal[6, 12, 36, 60] = 12
    """How long records are kept, when a pruning names no date."""

    log_ceiling_months: PositiveInt = 60
    """Records older than that should be gone: `casemate audit retention` says so."""

    checkpoint_interval: PositiveFloat = 10
    """Seconds between checkpoints, when the log grew."""

    reattach_timeout: PositiveFloat = 10
    """Seconds that a gateway has to come back before its open requests are closed."""

    segment_bytes: PositiveInt = 64 << 20
    """Size of a segment of the journal, written ahead with zeros."""


Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model]) -> Model:
    """Read and check a settings file.

    Raises:
        SettingsError: With one line per wrong key.
    """
    try:
        return model.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingsError(f"{path}: {exc}") from exc
    except ValidationError as exc:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
        raise SettingsError(f"{path}:\n" + "\n".join(lines)) from exc


def read_secret(path: Path) -> bytes:
    """Return the secret in a credential file.

    Raises:
        SettingsError: It cannot be read, or is too short to be one.
    """
    try:
        secret = path.read_bytes()
    except OSError as exc:
        raise SettingsError(f"{path}: {exc}") from exc
    if len(secret) < SECRET_BYTES:
        raise SettingsError(f"{path}: {len(secret)} bytes, expected {SECRET_BYTES} or more")
    return secret

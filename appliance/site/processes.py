"""The settings file of each process of one stack. Who may read what secret is visible here."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.site.folder import Folder
from appliance.site.postgres import address

SITE = "Préfecture de démonstration"
REALM = "casemate"
EMBEDDING_MODEL = "all-minilm-l6-v2"
EXTRACTIVE = "extraits"
Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the settings of one stack depend on."""

    folder: Folder
    ports: Mapping[str, int]
    uid: int  # under which our processes run
    gateways: int
    model: str | None  # name of the model folder's engine, when one is given
    vectors: bool

    @property
    def origin(self) -> str:
        """Return the public origin."""
        return f"http://localhost:{self.ports['front']}"

    @property
    def gateway_names(self) -> list[str]:
        """Return the names of the gateway workers, kept across their restarts."""
        return [f"gateway-{number}" for number in range(self.gateways)]

    def database(self, role: str, name: str = "casemate") -> str:
        """Return the connection string of a role."""
        return address(self.folder.run / "pg", self.ports["postgres"], role, name)

    @property
    def realm(self) -> Settings:
        """Return where tokens come from."""
        path = f"auth/realms/{REALM}"
        return {
            "issuer": f"{self.origin}/{path}",
            "backchannel": f"http://127.0.0.1:{self.ports['keycloak']}/{path}",
        }


def recorder(layout: Layout) -> Settings:
    """Return the settings of the recorder. In the demo one uid plays every client."""
    folder = layout.folder
    return {
        "origin": "demo.casemate.invalid/log",
        "directory": folder.log,
        "last_signed": folder.last_signed,
        "socket": folder.socket("recorder"),
        "clients": {str(layout.uid): ["*"]},
    }


def indexer(layout: Layout) -> Settings:
    """Return the settings of what keeps the searchable copy of the log."""
    return {
        "database": layout.database("casemate_indexer"),
        "recorder": layout.folder.socket("recorder"),
    }


def engine(layout: Layout) -> Settings:
    """Return the settings of the extractive engine."""
    return {"socket": layout.folder.socket("engine"), "model": EXTRACTIVE}


def reader(layout: Layout) -> Settings:
    """Return the settings of the reader. In the demo one uid is gateway and console too."""
    folder = layout.folder
    return {
        "socket": folder.socket("reader"),
        "clients": [layout.uid],
        "gateways": [layout.uid],
        "recorder": folder.socket("recorder"),
        "database": layout.database("casemate_opener"),
        "policy": folder.policy,
        "keys": folder.reader,
        "wrapping_key": folder.secret("reader-key"),
        "public_key": folder.reader_key,
    }


def gateway(layout: Layout, name: str) -> Settings:
    """Return the settings of one gateway worker."""
    folder = layout.folder
    engines = {EXTRACTIVE: folder.socket("engine")}
    if layout.model:
        engines[layout.model] = folder.socket("vllm")
    embedder = {"embedder": folder.socket("embedder")} if layout.vectors else {}
    return {
        "socket": folder.socket(name),
        "database": layout.database("casemate_gateway"),
        "recorder": folder.socket("recorder"),
        "policy": folder.policy,
        "embedding_model": EMBEDDING_MODEL,
        "name": name,
        "site_secret": folder.secret("site-secret"),
        "history_key": folder.secret("history-key.pub"),
        "reader_key": folder.reader_key,
        **embedder,
        "realm": layout.realm,
        "engines": engines,
    }


def console(layout: Layout) -> Settings:
    """Return the settings of the console."""
    folder = layout.folder
    return {
        "socket": folder.socket("console"),
        "origin": layout.origin,
        "site": SITE,
        "database": layout.database("casemate_console"),
        "gateway": folder.socket("inside"),
        "recorder": folder.socket("recorder"),
        "policy": folder.policy,
        "client_secret": folder.secret("console-client"),
        "session_key": folder.secret("session-key"),
        "site_secret": folder.secret("site-secret"),
        "history_key": folder.secret("history-key"),
        "reader": folder.socket("reader"),
        "objects": folder.objects,
        "object_key": folder.secret("object-key"),
        "exports": folder.exports,
        "log_key": folder.verifier_key,
        "realm": layout.realm,
    }


def worker(layout: Layout) -> Settings:
    """Return the settings of the worker of durable jobs."""
    folder = layout.folder
    return {
        "database": layout.database("casemate_worker"),
        "gateway": folder.socket("inside"),
        "recorder": folder.socket("recorder"),
        "policy": folder.policy,
        "client_secret": folder.secret("worker-client"),
        "objects": folder.objects,
        "object_key": folder.secret("object-key"),
        "log": folder.log,
        "exports": folder.exports,
        "embedding_model": EMBEDDING_MODEL,
        "realm": layout.realm,
    }


def identity(layout: Layout) -> Settings:
    """Return the settings of `casemate identity provision`."""
    folder = layout.folder
    return {
        "keycloak": f"http://127.0.0.1:{layout.ports['keycloak']}/auth",
        "origin": layout.origin,
        "bootstrap_secret": folder.secret("bootstrap"),
        "provision_secret": folder.secret("provision-client"),
        "console_secret": folder.secret("console-client"),
        "worker_secret": folder.secret("worker-client"),
        "events_secret": folder.secret("events-client"),
    }


def events(layout: Layout) -> Settings:
    """Return the settings of what follows Keycloak's events."""
    folder = layout.folder
    return {
        "keycloak": f"http://127.0.0.1:{layout.ports['keycloak']}/auth",
        "client_secret": folder.secret("events-client"),
        "recorder": folder.socket("recorder"),
        "state": folder.root / "events.json",
    }


def heartbeat(layout: Layout) -> Settings:
    """Return the settings of what records the counts of others."""
    folder = layout.folder
    engines = {EXTRACTIVE: folder.socket("engine")}
    if layout.model:
        engines[layout.model] = folder.socket("vllm")
    return {"recorder": folder.socket("recorder"), "engines": engines}


def apply(layout: Layout) -> Settings:
    """Return the settings of `casemate site apply`."""
    folder = layout.folder
    return {
        "keycloak": f"http://127.0.0.1:{layout.ports['keycloak']}/auth",
        "provision_secret": folder.secret("provision-client"),
        "database": layout.database("casemate_worker"),
        "recorder": folder.socket("recorder"),
        "policy": folder.policy,
        "accounts": folder.accounts,
    }


def chosen_model(declared: str, model: str | None) -> str:
    """Return the text of a declared site with its default model replaced, when one is given."""
    if model is None:
        return declared
    return declared.replace(f'default_model = "{EXTRACTIVE}"', f'default_model = "{model}"', 1)

"""Each settings file that the demo writes is read by the model of its process."""

import stat
from pathlib import Path

import pytest
from pydantic import BaseModel

from appliance.settings import (
    ApplySettings,
    ConsoleSettings,
    EngineSettings,
    GatewaySettings,
    ProvisionSettings,
    RecorderSettings,
    WorkerSettings,
    load,
)
from appliance.site import processes
from appliance.site.folder import choose_ports, prepare, write_settings
from appliance.site.processes import Layout, Settings, chosen_model
from appliance.trail_settings import (
    EventsSettings,
    HeartbeatSettings,
    IndexerSettings,
    ReaderSettings,
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    folder = prepare(tmp_path)
    ports = choose_ports(folder, 8080)
    return Layout(folder, ports, uid=1000, gateways=2, model="mistral", vectors=True)


@pytest.mark.parametrize(
    ("part", "model"),
    [
        pytest.param(processes.recorder, RecorderSettings, id="recorder"),
        pytest.param(processes.engine, EngineSettings, id="engine"),
        pytest.param(
            lambda it: processes.gateway(it, "gateway-1"), GatewaySettings, id="gateway"
        ),
        pytest.param(processes.console, ConsoleSettings, id="console"),
        pytest.param(processes.worker, WorkerSettings, id="worker"),
        pytest.param(processes.events, EventsSettings, id="events"),
        pytest.param(processes.heartbeat, HeartbeatSettings, id="heartbeat"),
        pytest.param(processes.indexer, IndexerSettings, id="indexer"),
        pytest.param(processes.reader, ReaderSettings, id="reader"),
        pytest.param(processes.identity, ProvisionSettings, id="identity"),
        pytest.param(processes.apply, ApplySettings, id="apply"),
    ],
)
def test_a_process_reads_the_settings_written_for_it(
    layout: Layout, part: "type[object]", model: type[BaseModel]
) -> None:
    values: Settings = part(layout)  # type: ignore[call-arg,assignment]

    load(write_settings(layout.folder, "part", values), model)


def test_the_issuer_is_public_and_keys_are_fetched_on_the_loopback(layout: Layout) -> None:
    assert layout.realm["issuer"] == "http://localhost:8080/auth/realms/casemate"
    assert str(layout.realm["backchannel"]).startswith("http://127.0.0.1:")


def test_secrets_are_named_by_their_file_and_exist(layout: Layout) -> None:
    for values in (processes.console(layout), processes.gateway(layout, "gateway-0")):
        for key in ("client_secret", "session_key", "site_secret", "history_key", "object_key"):
            if path := values.get(key):
                assert isinstance(path, Path)
                assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_gateway_cannot_open_the_history(layout: Layout) -> None:
    assert str(processes.gateway(layout, "gateway-0")["history_key"]).endswith(".pub")


def test_only_asked_for_engines_are_offered(layout: Layout) -> None:
    bare = Layout(layout.folder, layout.ports, 1000, gateways=1, model=None, vectors=False)
    settings = processes.gateway(bare, "gateway-0")

    assert settings["engines"] == {"extraits": layout.folder.socket("engine")}
    assert "embedder" not in settings


def test_a_model_folder_becomes_the_default_model() -> None:
    declared = 'site = "x"\ndefault_model = "extraits"\n'

    assert chosen_model(declared, None) == declared
    assert 'default_model = "mistral"' in chosen_model(declared, "mistral")

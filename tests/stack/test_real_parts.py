"""What runs is the product named, not a stand-in: each says so itself.

Replacing PostgreSQL, Keycloak, vLLM or Chromium by a stub fails here.
"""

import json
import subprocess
from pathlib import Path

import httpx2
import psycopg
import pytest
from playwright.sync_api import sync_playwright

from appliance.identity.provision import PROVISION_CLIENT
from appliance.site import postgres
from appliance.site.folder import Folder
from appliance.site.programs import CASEMATE
from appliance.site.store import version
from tests.stack.conftest import RunningStack

pytestmark = pytest.mark.stack


def _ports(folder: Folder) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder.root / "ports.json").read_text())
    return found


def test_the_database_is_postgresql_with_pgvector(stack: RunningStack) -> None:
    port = _ports(stack.folder)["postgres"]
    server = postgres.address(stack.folder.run / "pg", port, postgres.SUPERUSER, "casemate")

    assert version(server).startswith("PostgreSQL 18.")
    with psycopg.connect(server) as conn:
        nearest = conn.execute("SELECT '[1,2]'::halfvec <-> '[1,4]'::halfvec").fetchone()
        known = conn.execute("SELECT pg_postmaster_start_time() < now()").fetchone()
    assert nearest == (2.0,)
    assert known == (True,)


def test_identity_is_keycloak_as_its_server_info_says(stack: RunningStack) -> None:
    address = f"http://127.0.0.1:{_ports(stack.folder)['keycloak']}/auth"
    secret = stack.folder.secret("provision-client").read_text()
    with httpx2.Client(timeout=30) as http:
        form = {
            "grant_type": "client_credentials",
            "client_id": PROVISION_CLIENT,
            "client_secret": secret,
        }
        realm = "casemate"
        answer = http.post(f"{address}/realms/{realm}/protocol/openid-connect/token", data=form)
        token = answer.json()["access_token"]
        info = http.get(
            f"{address}/admin/serverinfo", headers={"Authorization": f"Bearer {token}"}
        )
    assert info.status_code == 200, info.text
    found = info.json()
    providers = set(found["providers"]["login-protocol"]["providers"])

    assert {"openid-connect"} <= providers
    assert len(found["themes"]["login"]) >= 1
    assert len(found["providers"]) > 80


def test_vectors_come_from_vllm_as_its_version_says(stack: RunningStack) -> None:
    stack.await_vectors()

    assert stack.ask_socket("embedder", "/version").json() == {"version": "0.32.0"}
    metrics = stack.ask_socket("embedder", "/metrics").text
    assert "vllm:" in metrics
    served = stack.ask_socket("embedder", "/v1/models").json()["data"][0]
    assert served["owned_by"] == "vllm"
    assert served["max_model_len"] == 256


def test_the_browser_is_chromium() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page()
        agent = page.evaluate("navigator.userAgent")
        major = int(browser.version.split(".")[0])
        browser.close()

    assert "Chrome/" in agent
    assert major >= 120


def test_a_second_demo_in_the_same_folder_is_refused(stack: RunningStack) -> None:
    again = [CASEMATE, "demo", "run", "--dir", str(stack.folder.root)]
    done = subprocess.run(again, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "Une démonstration tourne déjà" in done.stderr
    assert str(stack.told["supervisor"]) in done.stderr
    assert stack.told["ready"]


def test_no_secret_is_in_a_command_line_or_an_environment(stack: RunningStack) -> None:
    secrets = [p.read_bytes() for p in stack.folder.credentials.iterdir() if p.is_file()]
    passwords = [s for s in secrets if len(s) < 100]
    for name, pid in stack.pids.items():
        for file in ("cmdline", "environ"):
            content = Path(f"/proc/{pid}/{file}").read_bytes()
            assert not any(secret in content for secret in passwords), (name, file)

"""A declared site applied for real: Keycloak, PostgreSQL, recorder."""

import asyncio
import base64
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from appliance.audit.client import RecorderClient
from appliance.audit.event import Leaf
from appliance.errors import FormatError
from appliance.identity import policy
from appliance.identity.provision import ProvisionError
from appliance.settings import ApplySettings
from appliance.site.apply import (
    DeclaredError,
    apply,
    password_for,
    read_accounts,
    read_declared,
    replace,
)
from appliance.site.declared import Declared, parse
from tests.identity_server import SECRETS, Site
from tests.recording import new_log, running

SAMPLE = Path(__file__).parents[2] / "appliance" / "site" / "sample" / "site.toml"
# Only the names change, so that this site meets no other test's in the one Keycloak.
TEXT = (
    SAMPLE.read_text("utf-8").replace("/equipes/", "/services/").replace('"camille"', '"cam"')
)


@pytest.fixture
def settings(site: Site, worker_database: str, tmp_path: Path) -> Iterator[ApplySettings]:
    (secret := tmp_path / "provision").write_text(SECRETS["provision"])
    recorder = new_log(tmp_path)
    with running(recorder):
        yield ApplySettings(
            keycloak=site.instance.address,
            provision_secret=secret,
            database=worker_database,
            recorder=recorder.socket,
            policy=tmp_path / "policy.json",
            accounts=tmp_path / "accounts.json",
        )


def run(declared: Declared, settings: ApplySettings) -> list[str]:
    return asyncio.run(apply(declared, settings))


def leaves(settings: ApplySettings) -> list[Leaf]:
    async def read() -> list[bytes]:
        client = RecorderClient(settings.recorder, "test")
        await client.connect()
        try:
            return await client.read(0, 1000)
        finally:
            await client.close()

    return [Leaf.parse(stored) for stored in asyncio.run(read())]


def kinds(settings: ApplySettings) -> list[str]:
    found = [msgspec.to_builtins(leaf.event) for leaf in leaves(settings)]
    return [event["type"].split(".", 1)[1] for event in found if event["actor"] == "site.apply"]


def check_accounts(declared: Declared, settings: ApplySettings, site: Site) -> None:
    assert settings.accounts is not None
    assert settings.accounts.stat().st_mode & 0o777 == 0o600
    accounts = {a.username: a for a in read_accounts(settings.accounts)}
    assert accounts.keys() == {p.username for p in declared.people}
    assert bool(accounts["sacha"].otp)
    assert not accounts["lou"].otp
    assert len({a.password for a in accounts.values()}) == len(accounts)
    (morgan,) = site.admin("casemate-admin").get("/users", username="morgan", exact="true")
    credentials = site.admin("casemate-admin").get(f"/users/{morgan['id']}/credentials")
    assert {c["type"] for c in credentials} == {"password", "otp"}
    assert site.admin().get("/users", username="morgan", exact="true") == []


def test_a_site_is_applied_once_and_the_second_time_nothing_changes(
    site: Site, settings: ApplySettings
) -> None:
    declared = parse(TEXT)
    changes = run(declared, settings)
    assert changes[-1] == "policy"
    assert {"collection procedures", "budget site", "budget user:*"} <= set(changes)
    recorded = kinds(settings)
    assert recorded.count("rag.collection.v1") == 3
    assert recorded.count("budget.change.v1") == len(declared.budgets)
    assert recorded[-1] == "policy.change.v1"
    assert run(declared, settings) == []
    assert kinds(settings) == recorded
    check_accounts(declared, settings, site)
    assert policy.read(settings.policy) == declared.policy()
    event = msgspec.to_builtins(leaves(settings)[-1].event)
    assert event["data"]["digest"] == base64.b64encode(declared.policy().digest()).decode()
    with psycopg.connect(settings.database) as conn:
        rows = conn.execute("SELECT slug, label FROM collection ORDER BY slug").fetchall()
    assert rows == [("procedures", 0), ("ressources-humaines", 1), ("securite", 2)]


def test_a_site_without_people_still_has_a_first_administrator(
    site: Site, settings: ApplySettings
) -> None:
    bare = re.sub(r"\[\[people\]\]\n(?:\w.*\n)+", "", TEXT)
    named = settings.model_copy(update={"administrator": "a.martin"})
    assert "casemate-admin: account a.martin" in run(parse(bare), named)
    assert run(parse(bare), named) == []
    assert named.accounts is not None
    (kept,) = read_accounts(named.accounts)
    assert (kept.username, kept.realm, bool(kept.otp)) == ("a.martin", "casemate-admin", True)
    realm = site.admin("casemate-admin")
    (found,) = realm.get("/users", username="a.martin", exact="true")
    roles = {role["name"] for role in realm.get(f"/users/{found['id']}/role-mappings/realm")}
    assert "administrateur" in roles


def test_only_what_changed_is_recorded_and_before_it_holds(
    site: Site, settings: ApplySettings
) -> None:
    run(parse(TEXT), settings)
    before = len(kinds(settings))
    less = TEXT.replace("limit = 50000000", "limit = 1000").replace("label = 0", "label = 1")
    more = parse(less.replace("ungrounded = false", "ungrounded = true"))
    assert run(more, settings) == ["collection procedures", "budget site", "policy"]
    assert kinds(settings)[before:] == [
        "rag.collection.v1",
        "budget.change.v1",
        "policy.change.v1",
    ]
    subject = site.admin().get("/users", username="cam", exact="true")[0]["id"]
    own = TEXT.replace('key = "user:casemate-worker"', 'key = "user:cam"')
    run(parse(own), settings)
    event = msgspec.to_builtins(leaves(settings)[-2].event)
    assert event["budget"] == f"user:{subject}"


def test_nothing_is_written_when_keycloak_refuses(settings: ApplySettings) -> None:
    settings.provision_secret.write_text("x" * 40)
    with pytest.raises(ProvisionError):
        run(parse(TEXT), settings)
    assert not settings.policy.exists()
    assert kinds(settings) == []


def test_people_without_a_file_for_their_credentials_are_refused(tmp_path: Path) -> None:
    (secret := tmp_path / "s").write_text("x" * 40)
    bare = ApplySettings(
        keycloak="http://127.0.0.1:1",
        provision_secret=secret,
        database="",
        recorder=tmp_path / "r",
        policy=tmp_path / "p",
    )
    with pytest.raises(DeclaredError, match="accounts"):
        run(parse(TEXT), bare)


def test_an_absent_declared_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="nowhere"):
        read_declared(tmp_path / "nowhere.toml")


def test_a_generated_password_never_holds_the_name() -> None:
    made = [password_for("ab") for _ in range(2000)]  # 4 in 100 would
    assert not [password for password in made if "ab" in password]
    assert len(set(made)) == 2000
    assert all(re.fullmatch(r"([a-km-np-z2-9]{5}-){3}[a-km-np-z2-9]{5}", p) for p in made)


def test_an_absent_accounts_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="accounts"):
        read_accounts(tmp_path / "accounts.json")


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o644)
    replace(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]

"""`casemate site apply`: make the site be what `site.toml` declares. Idempotent.

What decides (policy, budgets, collections) is recorded before it holds: a `policy.change` leaf
before the file that processes read, `budget.change` leaves where a limit differs from the one
in force, a `rag.collection` leaf in the transaction that changes a collection.
"""

import base64
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from appliance.audit.client import RecorderClient, new_id
from appliance.audit.event import BudgetChange, Kind, fact
from appliance.errors import ApplianceError, FormatError
from appliance.identity.accounts import Person, put_groups, put_person
from appliance.identity.policy import Policy
from appliance.identity.provision import PROVISION_CLIENT, connect
from appliance.rag.indexing import store as rag
from appliance.settings import ApplySettings, read_secret
from appliance.site import account
from appliance.site.account import Account
from appliance.site.declared import Account as Named
from appliance.site.declared import Collection, Declared, parse

ACTOR = "site.apply"
PASSWORD_GROUPS, OTP_BYTES = 4, 20
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # 32, none taken for another


class DeclaredError(ApplianceError):
    """The declared site asks for something that these settings cannot give."""

    code = "CM-IDE-08"


def read_declared(path: Path) -> Declared:
    """Read a declared site.

    Raises:
        FormatError: It is absent, or wrong; the message says where.
    """
    try:
        return parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise FormatError(f"{path}: {exc}") from exc


async def apply(declared: Declared, settings: ApplySettings) -> list[str]:
    """Apply a declared site and return what was changed, in words.

    Raises:
        ApplianceError: A part refuses or is away. What was done stays; applying again goes on.
    """
    changes, subjects = apply_people(declared, settings)
    recorder = RecorderClient(settings.recorder, ACTOR)
    await recorder.connect()
    try:
        changes += await apply_collections(declared.collections, settings.database, recorder)
        changes += await apply_budgets(declared, subjects, recorder)
        changes += await apply_policy(declared.policy(), settings.policy, recorder)
    finally:
        await recorder.close()
    return changes


def apply_people(
    declared: Declared, settings: ApplySettings
) -> tuple[list[str], Mapping[str, str]]:
    """Put groups and accounts into Keycloak; return the changes, and names to subjects.

    Raises:
        DeclaredError: People are declared, and there is no file for their credentials.
    """
    secret = read_secret(settings.provision_secret).decode()
    people = declared.everyone(settings.administrator)
    accounts = _accounts(people, settings)
    changes: list[str] = []
    subjects: dict[str, str] = {}
    for name in ("casemate", "casemate-admin"):
        client = (PROVISION_CLIENT, secret)
        realm = connect(settings.keycloak, name, client=client, within=name)
        if name == "casemate":
            put_groups(realm, {group.path: group.clearance for group in declared.groups})
        for person in people:
            if person.realm == name:
                known = accounts[person.username]
                credentials = (known.password, known.otp)
                subjects[person.username] = put_person(
                    realm,
                    Person(
                        person.username,
                        frozenset(person.roles),
                        tuple(person.groups),
                        person.clearance,
                        *credentials,
                    ),
                )
        changes += realm.changes
    return changes, subjects


def read_accounts(path: Path) -> list[Account]:
    """Read the accounts file of the demo.

    Raises:
        FormatError: It is absent, or not one.
    """
    try:
        return account.parse(path.read_bytes())
    except OSError as exc:
        raise FormatError(f"{path}: {exc}") from exc


def _accounts(people: Sequence[Named], settings: ApplySettings) -> Mapping[str, Account]:
    """Return the accounts with their credentials, generated and kept where there are none."""
    if not people:
        return {}
    if settings.accounts is None:
        raise DeclaredError("people are declared, and `accounts` names no file for them")
    path = settings.accounts
    known = {a.username: a for a in read_accounts(path)} if path.exists() else {}
    accounts = {
        person.username: known.get(person.username)
        or Account(
            role=person.roles[0],
            username=person.username,
            realm=person.realm,
            password=password_for(person.username),
            otp=_otp_secret() if person.second_factor else "",
        )
        for person in people
    }
    if accounts != known:  # before Keycloak knows them: a password nobody has opens nothing
        replace(path, account.write(list(accounts.values())), mode=0o600)
    return accounts


def password_for(username: str) -> str:
    """Return four groups of five letters, 100 bits; never with the name in it: refused then."""
    while True:
        groups = [
            "".join(secrets.choice(LETTERS) for _ in range(5)) for _ in range(PASSWORD_GROUPS)
        ]
        if username not in (made := "-".join(groups)):
            return made


def _otp_secret() -> str:
    return base64.b32encode(secrets.token_bytes(OTP_BYTES)).decode()


async def apply_collections(
    collections: Sequence[Collection], database: str, recorder: RecorderClient
) -> list[str]:
    """Put collections into PostgreSQL, each change recorded before it is committed."""
    changes: list[str] = []
    async with await psycopg.AsyncConnection.connect(database) as conn:
        for one in collections:
            groups = dict.fromkeys(one.readers, False) | dict.fromkeys(one.writers, True)
            wanted = rag.Declared(one.slug, one.title, one.label, groups)
            async with conn.transaction():
                if not await rag.declare_collection(conn, wanted):
                    continue
                change = fact(
                    Kind.RAG_COLLECTION,
                    ACTOR,
                    new_id(),
                    label=one.label,
                    collection=one.slug,
                    groups=len(groups),
                )
                await recorder.append(change)
            changes.append(f"collection {one.slug}")
    return changes


async def apply_budgets(
    declared: Declared, subjects: Mapping[str, str], recorder: RecorderClient
) -> list[str]:
    """Append a `budget.change` for each limit that is not in force as declared.

    People are budgeted by subject; services by the name of their client.
    """
    wanted = {_budget_key(b.key, subjects): b for b in declared.budgets}
    state = await recorder.status(list(wanted))
    changes: list[str] = []
    for key, budget in wanted.items():
        now = state.budgets.get(key)
        if now and (now.limit, now.period, now.hard) == (
            budget.limit,
            budget.period,
            budget.hard,
        ):
            continue
        await recorder.append(
            BudgetChange(
                actor=ACTOR,
                budget=key,
                hard=budget.hard,
                id=new_id(),
                limit=budget.limit,
                period=budget.period,
            )
        )
        changes.append(f"budget {budget.key}")
    return changes


def _budget_key(key: str, subjects: Mapping[str, str]) -> str:
    family, _, name = key.partition(":")
    return f"user:{subjects[name]}" if family == "user" and name in subjects else key


async def apply_policy(policy: Policy, path: Path, recorder: RecorderClient) -> list[str]:
    """Record and write the policy, where its text changed."""
    text = policy.text()
    if same_bytes(path, text):
        return []
    digest = base64.b64encode(policy.digest()).decode()
    await recorder.append(fact(Kind.POLICY_CHANGE, ACTOR, new_id(), digest=digest))
    replace(path, text, mode=0o644)
    return ["policy"]


def same_bytes(path: Path, text: bytes) -> bool:
    """Tell whether a file is there and holds this text."""
    return path.exists() and path.read_bytes() == text


def replace(path: Path, text: bytes, *, mode: int) -> None:
    """Replace a file whole: a reader sees the old one or the new one, also after a crash."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

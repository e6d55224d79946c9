"""What a hostile gateway tries on the log, the database, Keycloak and the models.

Run with the release's Python, as `attacks.py`, whose attacks it makes too. It writes what it
finds as leaves and nothing else: the log keeps them for ever, under the gateway's user id.
"""

import base64
import datetime as dt
import hashlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.audit.client import new_id
from appliance.audit.event import NO_TEXT, BudgetChange, Event, Intent, Interrupted, Kind, fact
from appliance.audit.frame import (
    Answer,
    Append,
    Attach,
    Prove,
    Read,
    Status,
    Unpacker,
    Unseal,
    pack,
)
from tests.rehearsal.attacks import ATTACKS, BrokenError, RefusedError, Work, attack, main

RECORDER = "/run/casemate/recorder/socket"
EMBEDDER = "/run/casemate/vllm-embed/socket"
KEYCLOAK = ("127.0.0.1", 8080)
DATABASE = "host=/run/postgresql dbname=casemate user="
WAIT = 5.0  # seconds
NAME = "hostile"
EVERY = ATTACKS  # those of the machine too

# the log


def ask(*requests: msgspec.Struct, answers: int = 1) -> Answer:
    """Send requests of one connection; return the last answer.

    Raises:
        RefusedError: The recorder said no, or ended the connection.
    """
    encode, found = msgspec.json.encode, list[Answer]()
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(WAIT)
        made.connect(RECORDER)
        made.sendall(pack(encode(Attach(NAME, [], 0))))
        made.sendall(b"".join(pack(encode(one)) for one in requests))
        unpacker = Unpacker(1 << 26)
        while len([one for one in found if one.ref]) < answers:
            data = made.recv(1 << 20)
            if not data:
                raise RefusedError("the recorder ended the connection")
            for body in unpacker.feed(data):
                found += msgspec.json.decode(body, type=list[Answer])
    last = max(found, key=lambda one: one.ref)
    if last.error:
        raise RefusedError(f"{last.error}: {last.detail}")
    return last


def append(*events: Event) -> Answer:
    return ask(Append(list(events), 1), answers=len(events))


def size() -> int:
    return int(msgspec.json.decode(ask(Status(1)).body)["size"])


def intent(work: Work, reserve: dict[str, int], actor: str = "") -> Intent:
    return Intent(
        actor=actor or work["person_subject"], flags=[], id=new_id(), label=0, max_tokens=1,
        model="extraits", policy=NO_TEXT, prompt=NO_TEXT, request=new_id(), reserve=reserve,
    )  # fmt: skip


def end(begun: Intent, spend: dict[str, int]) -> Interrupted:
    return Interrupted(
        actor=begun.actor, answer=NO_TEXT, completion_tokens=0, duration=0, finish=NAME,
        flags=[], id=new_id(), label=0, prompt_tokens=0, request=begun.request, spend=spend,
        status=0,
    )  # fmt: skip


@attack
def rewrite_a_leaf(work: Work) -> str:
    first = fact(Kind.AUTHZ_DENIED, work["person_subject"], new_id(), reason="repetition")
    append(first)
    first.data = {"reason": "autre"}
    return f"leaf {append(first).index} has two contents"


@attack
def sign_a_checkpoint(_: Work) -> str:
    class Sign(msgspec.Struct, tag_field="op", tag="checkpoint"):
        ref: int

    return f"answered {ask(Sign(1))}"


@attack
def write_facts_of_others(work: Work) -> str:
    said = set()
    for kind in work["facts_of_others"]:
        try:
            return f"{kind} at {append(fact(Kind(kind), NAME, new_id())).index}"
        except RefusedError as exc:
            said.add(str(exc).split(":")[0])
    raise RefusedError(f"{len(work['facts_of_others'])} kinds: {'; '.join(sorted(said))}")


@attack
def read_the_log(_: Work) -> str:
    return f"has {len(ask(Read(10, 1, 0)).body)} bytes of leaves"


@attack
def read_a_leaf_by_its_proof(_: Work) -> str:
    return f"has {len(ask(Prove(0, 1)).body)} bytes of leaf and proof"


@attack
def open_the_keys_of_the_history(work: Work) -> str:
    return f"has {ask(Unseal(work['sealed'], 1)).body!r}"


@attack
def lie_about_a_person(work: Work) -> str:
    told = fact(Kind.AUTHZ_DENIED, work["person_subject"], new_id(), reason="repetition")
    return f"leaf {append(told).index}, signed, under user id 882: nothing of it happened"


@attack
def stop_the_service(work: Work) -> str:
    stop = fact(Kind.SERVICE_STOP, work["person_subject"], new_id())
    approvals = [fact(Kind.SERVICE_APPROVE, f"{NAME}-{n}", new_id()) for n in (1, 2)]
    return f"stopped and started under three names, up to leaf {append(stop, *approvals).index}"


# budgets


@attack
def raise_a_budget(_: Work) -> str:
    change = BudgetChange(
        actor=NAME, budget="site", hard=True, id=new_id(), limit=2**52, period="month"
    )
    return f"leaf {append(change).index}"


@attack
def pass_a_hard_limit(work: Work) -> str:
    return f"leaf {append(intent(work, {'site': 2**52})).index}"


@attack
def ask_without_a_budget(work: Work) -> str:
    return f"leaf {append(intent(work, {})).index}"


@attack
def spend_what_was_not_reserved(work: Work) -> str:
    begun = intent(work, {f"user:{NAME}": 1})
    return f"leaf {append(begun, end(begun, {'site': 1})).index}"


@attack
def spend_the_budget_of_a_person(work: Work) -> str:
    name = f"user:{work['person_subject']}"
    begun = intent(work, {name: 10})
    index = append(begun, end(begun, {name: 10})).index
    return f"10 tokens of {name}, a signed leaf ({index}) under user id 882"


@attack
def ask_a_model_unrecorded(work: Work) -> str:
    before = size()
    body = json.dumps({"model": work["embedder"], "input": ["repetition"]})
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(30)
        made.connect(EMBEDDER)
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        made.sendall(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
        status = made.recv(64).split(b" ")[1].decode()
    if status != "200":
        raise BrokenError(f"the embedder answered {status}")
    return f"answered {status}; leaves before and after: {before}, {size()}"


# the database


def database(user: str, *statements: str) -> list[Any]:
    """Run statements in one transaction that is never committed; return the last rows.

    Raises:
        RefusedError: The database said no.
    """
    try:
        with psycopg.connect(f"{DATABASE}{user}") as conn:
            rows: list[Any] = []
            for statement in statements:
                done = conn.execute(statement.encode())
                rows = done.fetchall() if done.description else [done.rowcount]
            conn.rollback()
            return rows
    except (psycopg.errors.InsufficientPrivilege, psycopg.OperationalError) as exc:
        raise RefusedError(str(exc).splitlines()[0]) from exc


@attack
def be_another_role_of_the_database(work: Work) -> str:
    said = set()
    for user in work["roles"]:
        try:
            return f"is {database(user, 'SELECT current_user')}"
        except RefusedError as exc:
            said.add(str(exc).rsplit(":", 1)[-1].strip())
    raise RefusedError(f"{len(work['roles'])} roles: {'; '.join(sorted(said))}")


def _sql(name: str, *statements: str) -> None:
    """Put statements among the attacks, each as the gateway's own role."""

    def made(_: Work) -> str:
        return f"{database('casemate_gateway', *statements)[:1]}"

    made.__name__ = name
    attack(made)


_sql("read_questions_and_answers", "SELECT question, answer FROM content")
_sql("take_a_session_of_the_console", "SELECT * FROM console_session")
_sql("read_keys_of_originals", "SELECT content_id, wrapped_key FROM document")
_sql("give_a_group_a_collection", "UPDATE collection_group SET can_write = true")
_sql("delete_documents", "DELETE FROM document")
_sql("issue_a_key", "INSERT INTO application_key DEFAULT VALUES")
_sql("undo_a_revocation", "DELETE FROM revocation")
_sql("forge_a_job_of_the_worker", "INSERT INTO jobs.procrastinate_jobs DEFAULT VALUES")
_sql("make_a_table", "CREATE TABLE public.hostile (a int)")
_sql("run_a_program_by_the_database", "COPY (SELECT 1) TO PROGRAM 'id'")


@attack
def read_passages_of_any_group(work: Work) -> str:
    groups = json.dumps(work["groups"]).replace("'", "''")
    ((count,),) = database(
        "casemate_gateway",
        "SELECT set_config('app.clearance', '9', true)",
        f"SELECT set_config('app.groups', '{groups}', true)",
        "SELECT count(*) FROM passage",
    )
    if not count:
        raise BrokenError("no passage is shown, or there is none")
    return f"{count} passages: the database takes its word for who asks"


# Keycloak


def keycloak(method: str, path: str, *, source: str = "", **more: Any) -> tuple[int, str, str]:
    """Ask Keycloak directly; return status, address that it sends to, and body."""
    bound = (source, 0) if source else None
    connection = http.client.HTTPConnection(*KEYCLOAK, timeout=20, source_address=bound)
    connection.request(method, path, **more)
    answer = connection.getresponse()
    return (
        answer.status,
        answer.getheader("Location", ""),
        answer.read().decode(errors="replace"),
    )


@attack
def administer_keycloak(_: Work) -> str:
    seen = set()
    for path in ("/auth/admin/realms", "/auth/admin/realms/casemate/users"):
        status = keycloak("GET", path)[0]
        if status < 400:
            return f"{path}: {status}"
        seen.add(str(status))
    raise RefusedError(f"status {', '.join(sorted(seen))}")


def _token(realm: str, form: dict[str, str]) -> int:
    path = f"/auth/realms/{realm}/protocol/openid-connect/token"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return keycloak("POST", path, body=urlencode(form), headers=headers)[0]


@attack
def be_a_client_of_keycloak(work: Work) -> str:
    folder = Path(work["credentials"])
    own = [one.read_bytes() for one in sorted(folder.iterdir())]
    if not own:
        raise BrokenError("the gateway has no secret")
    tried = [secret.decode(errors="replace").strip() for secret in own] + [own[0].hex(), ""]
    for realm, client in work["clients"]:
        for secret in tried:
            form = {
                "grant_type": "client_credentials",
                "client_id": client,
                "client_secret": secret,
            }
            if _token(realm, form) == 200:
                return f"is {client}"
    raise RefusedError(f"{len(work['clients'])} clients, {len(tried)} secrets each")


@attack
def be_an_administrator_by_password(work: Work) -> str:
    for realm in ("master", "casemate-admin"):
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": work["administrator"],
        }
        if _token(realm, {**form, "password": work["administrator"]}) == 200:
            return f"is an administrator of {realm}"
    raise RefusedError("no realm gives a token")


def card(name: str) -> str:
    """Make a card of one's own, with the name of an administrator; return its header."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), 7)
    made = made.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(
        now + dt.timedelta(days=1)
    )
    uses = [True, *[False] * 8]
    made = made.add_extension(x509.KeyUsage(*uses), critical=True)
    made = made.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    )
    der = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    return base64.b64encode(der).decode()


def sign_in_by_card(work: Work, source: str) -> str:
    """Ask for a code of the administrators' realm with a card that nobody issued."""
    verifier = base64.urlsafe_b64encode(hashlib.sha256(str(time.time()).encode()).digest())
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.rstrip(b"=")).digest())
    asked = {
        "client_id": "security-admin-console", "response_type": "code", "scope": "openid",
        "redirect_uri": work["admin_console"], "code_challenge_method": "S256",
        "code_challenge": challenge.rstrip(b"=").decode(), "acr_values": "3",
    }  # fmt: skip
    path = f"/auth/realms/casemate-admin/protocol/openid-connect/auth?{urlencode(asked)}"
    headers = {"SSL_CLIENT_CERT": card(work["administrator"])}
    status, to, body = keycloak("GET", path, source=source, headers=headers)
    if "code=" in to:
        return f"signed in as {work['administrator']} with a card of its own"
    if status != 200 or 'name="password"' not in body:
        raise BrokenError(
            f"neither a code nor the page of the password: {status} {to} {body[:300]}"
        )
    raise RefusedError("the card is not looked at: a password is asked for")


@attack
def sign_in_with_a_forged_card(work: Work) -> str:
    return sign_in_by_card(work, "")


@attack
def sign_in_with_a_forged_card_as_the_front(work: Work) -> str:
    return sign_in_by_card(work, "127.0.0.2")


if __name__ == "__main__":
    main()

"""Every SQL statement of the identity domain, one function each.

Functions take an open connection and never commit: the caller owns the transaction. Which
rows are seen is decided by the policies of `0010_identity.sql`, from settings that live as long
as the transaction.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from appliance.identity.keys import Grant, Terms
from appliance.identity.principal import Principal, Scope


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One row of `application_key`, typed as psycopg gives it."""

    id: UUID
    owner: str
    name: str
    scopes: list[str]
    models: list[str]
    collections: list[str]
    networks: list[str]
    max_label: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    digest: bytes = field(repr=False)

    def grant(self) -> Grant:
        """Return the same in the words of the domain."""
        terms = Terms(
            owner=self.owner,
            name=self.name,
            scopes=frozenset(Scope(name) for name in self.scopes),
            expires_at=self.expires_at,
            models=frozenset(self.models),
            collections=tuple(self.collections),
            networks=tuple(self.networks),
            max_label=self.max_label,
        )
        return Grant(str(self.id), terms, self.digest, self.revoked_at)


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One row of `person`: what the directory said of the owner of a key."""

    subject: str
    name: str
    roles: list[str]
    groups: list[str]
    clearance: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class RevocationRow:
    """One row of `revocation`."""

    kind: str
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One row of `console_session`."""

    id: bytes
    sid: str
    subject: str
    fresh_until: datetime
    created_at: datetime
    ends_at: datetime
    sealed: bytes = field(repr=False)


async def act_as(conn: AsyncConnection, caller: Principal) -> None:
    """Run the rest of the transaction as an authenticated caller.

    Their rights bound what every query sees; an application key bounds the label further.
    """
    await conn.execute(
        """
        SELECT set_config('app.subject', %(subject)s, true),
               set_config('app.clearance', %(clearance)s, true),
               set_config('app.groups', %(groups)s, true),
               set_config('app.records', %(records)s, true)
        """,
        {
            "subject": caller.subject,
            "clearance": str(caller.reads_up_to),
            "groups": json.dumps(caller.groups),
            "records": _records(caller),
        },
    )


def _records(caller: Principal) -> str:
    """Return which records of the log a caller may read: `all`, `own` or none."""
    if Scope.RECORDS_ALL in caller.scopes:
        return "all"
    return "own" if Scope.RECORDS_OWN in caller.scopes else ""


async def issue_key(conn: AsyncConnection, terms: Terms, digest: bytes) -> KeyRow:
    """Store a key under terms that were checked."""
    async with conn.cursor(row_factory=class_row(KeyRow)) as cur:
        await cur.execute(
            """
            INSERT INTO application_key
                (owner, name, scopes, models, collections, networks, max_label, expires_at,
                 digest)
            VALUES (%(owner)s, %(name)s, %(scopes)s, %(models)s, %(collections)s, %(networks)s,
                    %(max_label)s, %(expires_at)s, %(digest)s)
            RETURNING *
            """,
            {
                "owner": terms.owner,
                "name": terms.name,
                "scopes": sorted(terms.scopes),
                "models": sorted(terms.models),
                "collections": list(terms.collections),
                "networks": list(terms.networks),
                "max_label": terms.max_label,
                "expires_at": terms.expires_at,
                "digest": digest,
            },
        )
        row = await cur.fetchone()
    assert row is not None  # INSERT … RETURNING has one row, or raised
    return row


async def find_key(conn: AsyncConnection, digest: bytes) -> KeyRow | None:
    """Return the key with this digest, whoever owns it: nobody is signed in yet."""
    await conn.execute(
        "SELECT set_config('app.key_digest', %(hex)s, true)", {"hex": digest.hex()}
    )
    async with conn.cursor(row_factory=class_row(KeyRow)) as cur:
        await cur.execute(
            "SELECT * FROM application_key WHERE digest = %(digest)s", {"digest": digest}
        )
        return await cur.fetchone()


async def list_keys(conn: AsyncConnection) -> list[KeyRow]:
    """Return the keys of the subject of this transaction, oldest first."""
    async with conn.cursor(row_factory=class_row(KeyRow)) as cur:
        await cur.execute("SELECT * FROM application_key ORDER BY created_at, id")
        return await cur.fetchall()


async def revoke_key(conn: AsyncConnection, key_id: UUID) -> KeyRow | None:
    """Revoke a key of the subject, if it exists; a second call changes nothing."""
    async with conn.cursor(row_factory=class_row(KeyRow)) as cur:
        await cur.execute(
            """
            UPDATE application_key SET revoked_at = clock_timestamp()
            WHERE id = %(id)s AND revoked_at IS NULL
            """,
            {"id": key_id},
        )
        await cur.execute("SELECT * FROM application_key WHERE id = %(id)s", {"id": key_id})
        return await cur.fetchone()


async def put_person(conn: AsyncConnection, person: PersonRow) -> None:
    """Keep what the directory says of an owner of keys, as of now."""
    await conn.execute(
        """
        INSERT INTO person (subject, name, roles, groups, clearance, enabled)
        VALUES (%(subject)s, %(name)s, %(roles)s, %(groups)s, %(clearance)s, %(enabled)s)
        ON CONFLICT (subject) DO UPDATE SET name = excluded.name, roles = excluded.roles,
            groups = excluded.groups, clearance = excluded.clearance,
            enabled = excluded.enabled, checked_at = clock_timestamp()
        """,
        {
            "subject": person.subject,
            "name": person.name,
            "roles": person.roles,
            "groups": person.groups,
            "clearance": person.clearance,
            "enabled": person.enabled,
        },
    )


async def find_person(conn: AsyncConnection, subject: str, *, seconds: int) -> PersonRow | None:
    """Return what the directory said of `subject` in the last `seconds`.

    The transaction acts as `subject` from here on, with no group and no clearance.
    """
    await conn.execute(
        "SELECT set_config('app.subject', %(subject)s, true)", {"subject": subject}
    )
    async with conn.cursor(row_factory=class_row(PersonRow)) as cur:
        await cur.execute(
            """
            SELECT subject, name, roles, groups, clearance, enabled FROM person
            WHERE subject = %(subject)s
              AND checked_at > clock_timestamp() - make_interval(secs => %(seconds)s)
            """,
            {"subject": subject, "seconds": seconds},
        )
        return await cur.fetchone()


async def list_people(conn: AsyncConnection) -> list[PersonRow]:
    """Return every owner of a key, for the pass that asks the directory (console only)."""
    async with conn.cursor(row_factory=class_row(PersonRow)) as cur:
        await cur.execute(
            """
            SELECT subject, name, roles, groups, clearance, enabled FROM person
            ORDER BY subject
            """
        )
        return await cur.fetchall()


async def alone(conn: AsyncConnection, lock: int) -> bool:
    """Say whether this transaction is the only one that holds the advisory lock."""
    cur = await conn.execute("SELECT pg_try_advisory_xact_lock(%(lock)s)", {"lock": lock})
    row = await cur.fetchone()
    return row is not None and bool(row[0])


async def revoke(conn: AsyncConnection, kind: str, names: Sequence[str]) -> None:
    """Refuse, from now on, what was given to these sessions, subjects, keys or groups."""
    await conn.execute(
        """
        INSERT INTO revocation (kind, name) SELECT %(kind)s, unnest(%(names)s::text[])
        ON CONFLICT (kind, name) DO UPDATE SET at = excluded.at
        """,
        {"kind": kind, "names": list(names)},
    )


async def recent_revocations(conn: AsyncConnection, *, seconds: int) -> list[RevocationRow]:
    """Return the revocations of the last `seconds`: older ones outlived every token."""
    async with conn.cursor(row_factory=class_row(RevocationRow)) as cur:
        await cur.execute(
            """
            SELECT kind, name, at FROM revocation
            WHERE at > clock_timestamp() - make_interval(secs => %(seconds)s)
            """,
            {"seconds": seconds},
        )
        return await cur.fetchall()


async def open_session(conn: AsyncConnection, row: SessionRow) -> None:
    """Keep a new session of the console."""
    await conn.execute(
        """
        INSERT INTO console_session (id, sid, subject, sealed, fresh_until, created_at, ends_at)
        VALUES (%(id)s, %(sid)s, %(subject)s, %(sealed)s, %(fresh_until)s, %(created_at)s,
                %(ends_at)s)
        """,
        {
            "id": row.id,
            "sid": row.sid,
            "subject": row.subject,
            "sealed": row.sealed,
            "fresh_until": row.fresh_until,
            "created_at": row.created_at,
            "ends_at": row.ends_at,
        },
    )


async def find_session(conn: AsyncConnection, session_id: bytes) -> SessionRow | None:
    """Return a session that has not ended."""
    async with conn.cursor(row_factory=class_row(SessionRow)) as cur:
        await cur.execute(
            """
            SELECT * FROM console_session
            WHERE id = %(id)s AND ends_at > clock_timestamp()
            """,
            {"id": session_id},
        )
        return await cur.fetchone()


async def lock_session(
    conn: AsyncConnection, session_id: bytes, *, wait: bool
) -> SessionRow | None:
    """Return a session and hold its row until the transaction ends: one refresh at a time.

    Args:
        conn: A transaction.
        session_id: Digest of the cookie.
        wait: Wait for who holds it; otherwise the answer is then None.
    """
    async with conn.cursor(row_factory=class_row(SessionRow)) as cur:
        query = """
            SELECT * FROM console_session
            WHERE id = %(id)s AND ends_at > clock_timestamp() FOR UPDATE
            """
        if not wait:
            query += " SKIP LOCKED"
        await cur.execute(query, {"id": session_id})
        return await cur.fetchone()


async def renew_session(conn: AsyncConnection, row: SessionRow) -> None:
    """Replace the tokens of a session whose row is held."""
    await conn.execute(
        """
        UPDATE console_session SET sid = %(sid)s, sealed = %(sealed)s,
            fresh_until = %(fresh_until)s, ends_at = %(ends_at)s
        WHERE id = %(id)s
        """,
        {
            "id": row.id,
            "sid": row.sid,
            "sealed": row.sealed,
            "fresh_until": row.fresh_until,
            "ends_at": row.ends_at,
        },
    )


async def close_session(conn: AsyncConnection, session_id: bytes) -> SessionRow | None:
    """Forget a session and return what it was."""
    async with conn.cursor(row_factory=class_row(SessionRow)) as cur:
        await cur.execute(
            "DELETE FROM console_session WHERE id = %(id)s RETURNING *", {"id": session_id}
        )
        return await cur.fetchone()


async def close_sessions_of(conn: AsyncConnection, *, sid: str, subject: str) -> int:
    """Forget the sessions with this `sid`, or without one all of this subject; count them."""
    cur = await conn.execute(
        """
        DELETE FROM console_session
        WHERE CASE WHEN %(sid)s <> '' THEN sid = %(sid)s ELSE subject = %(subject)s END
        """,
        {"sid": sid, "subject": subject},
    )
    return cur.rowcount


async def sweep_sessions(conn: AsyncConnection) -> int:
    """Forget the sessions that have ended and count them."""
    cur = await conn.execute("DELETE FROM console_session WHERE ends_at <= clock_timestamp()")
    return cur.rowcount

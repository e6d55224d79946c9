-- Identity: keys of applications, what the directory says of people, revocations, sessions of the
-- console. current_subject() comes from 0001.

CREATE TABLE application_key (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner       text NOT NULL CHECK (owner <> ''),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    scopes      text[] NOT NULL
                CHECK (cardinality(scopes) > 0 AND array_position(scopes, NULL) IS NULL),
    models      text[] NOT NULL DEFAULT '{}' CHECK (array_position(models, NULL) IS NULL),
    collections text[] NOT NULL DEFAULT '{}' CHECK (array_position(collections, NULL) IS NULL),
    networks    text[] NOT NULL DEFAULT '{}' CHECK (array_position(networks, NULL) IS NULL),
    max_label   smallint NOT NULL CHECK (max_label BETWEEN 0 AND 9),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL CHECK (expires_at > created_at),
    revoked_at  timestamptz CHECK (revoked_at >= created_at),
    digest      bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32)
);

-- Columns that are not granted cannot be forged; no DELETE: a revoked key is evidence.
-- The gateway authenticates with keys and issues none.
GRANT SELECT, UPDATE (revoked_at),
      INSERT (owner, name, scopes, models, collections, networks, max_label, expires_at, digest)
    ON application_key TO casemate_console;
GRANT SELECT ON application_key TO casemate_gateway;

ALTER TABLE application_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE application_key FORCE ROW LEVEL SECURITY;  -- the table's owner too

CREATE POLICY owner_reads ON application_key FOR SELECT
    USING (owner = current_subject());

CREATE POLICY owner_issues ON application_key FOR INSERT
    WITH CHECK (owner = current_subject());

-- One way only: from not revoked to revoked.
CREATE POLICY owner_revokes ON application_key FOR UPDATE
    USING (owner = current_subject() AND revoked_at IS NULL)
    WITH CHECK (owner = current_subject() AND revoked_at IS NOT NULL);

-- Authentication looks a key up before anyone is signed in: who knows the digest may read
-- that row. Text is compared, since decode() of a setting in disorder would raise.
CREATE POLICY bearer_reads ON application_key FOR SELECT
    USING (encode(digest, 'hex') = current_setting('app.key_digest', true));

-- What the directory said of a person, and when: a key acts with its owner's rights of now, and
-- the gateway has no token of the owner. Kept by the console; older than a minute is not believed.
CREATE TABLE person (
    subject    text PRIMARY KEY CHECK (subject <> ''),
    name       text NOT NULL,
    roles      text[] NOT NULL CHECK (array_position(roles, NULL) IS NULL),
    groups     text[] NOT NULL CHECK (array_position(groups, NULL) IS NULL),
    clearance  smallint NOT NULL CHECK (clearance BETWEEN 0 AND 9),
    enabled    boolean NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON person TO casemate_console;
GRANT SELECT ON person TO casemate_gateway;
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
ALTER TABLE person FORCE ROW LEVEL SECURITY;
CREATE POLICY keeper ON person TO casemate_console USING (true) WITH CHECK (true);
CREATE POLICY own ON person FOR SELECT TO casemate_gateway USING (subject = current_subject());

-- Revocations: tokens of this session, or issued until `at` to this subject, key or group member,
-- are refused. Each worker reads the recent ones every 5 s. Nothing is ever taken back.
CREATE TABLE revocation (
    kind text NOT NULL CHECK (kind IN ('session', 'subject', 'key', 'group')),
    name text NOT NULL CHECK (name <> ''),
    at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, name)
);
CREATE INDEX revocation_recent ON revocation (at);
GRANT SELECT ON revocation TO casemate_reader, casemate_worker;
GRANT INSERT, UPDATE (at) ON revocation TO casemate_console;
ALTER TABLE revocation ENABLE ROW LEVEL SECURITY;
ALTER TABLE revocation FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone_reads ON revocation FOR SELECT
    TO casemate_reader, casemate_worker USING (true);
CREATE POLICY console_writes ON revocation FOR INSERT TO casemate_console WITH CHECK (true);
CREATE POLICY console_renews ON revocation FOR UPDATE TO casemate_console
    USING (true) WITH CHECK (true);

CREATE FUNCTION revocation_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.at < OLD.at THEN NEW.at := OLD.at; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER forward BEFORE UPDATE ON revocation
    FOR EACH ROW EXECUTE FUNCTION revocation_moves_forward();

-- Sessions of the console. The cookie is a random value, the row is found by its SHA-256; tokens
-- are sealed under a credential that is not in the database.
CREATE TABLE console_session (
    id           bytea PRIMARY KEY CHECK (octet_length(id) = 32),
    sid          text NOT NULL CHECK (sid <> ''),
    subject      text NOT NULL CHECK (subject <> ''),
    sealed       bytea NOT NULL CHECK (octet_length(sealed) BETWEEN 28 AND 65536),
    fresh_until  timestamptz NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at      timestamptz NOT NULL CHECK (ends_at > created_at)
);
CREATE INDEX console_session_sid ON console_session (sid);
CREATE INDEX console_session_subject ON console_session (subject);
GRANT SELECT, INSERT, DELETE, UPDATE (sid, sealed, fresh_until, ends_at)
    ON console_session TO casemate_console;
ALTER TABLE console_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE console_session FORCE ROW LEVEL SECURITY;
CREATE POLICY console_only ON console_session TO casemate_console USING (true) WITH CHECK (true);

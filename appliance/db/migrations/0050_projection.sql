-- A working copy of the log, to search in. It is never evidence: it holds what a search names and
-- the digests of each leaf, is compared with the log all day, and can be made anew at any time.
-- The indexer writes; the console reads what its person may see, and shows the log's own bytes.

CREATE SCHEMA audit;
GRANT USAGE ON SCHEMA audit TO casemate_indexer, casemate_console;

-- What the person of this transaction may read of the log: 'all', 'own', or nothing. What is unset,
-- empty or anything else is nothing.
CREATE FUNCTION audit.reads_all() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  RETURN coalesce(current_setting('app.records', true) = 'all', false);
CREATE FUNCTION audit.own_actor() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CASE WHEN current_setting('app.records', true) = 'own' THEN public.current_subject() END;

-- Two sides: one serves, the other is filled by a rebuild and then serves in its place.
CREATE TABLE audit.side (
  side smallint PRIMARY KEY CHECK (side IN (0, 1)),
  serving boolean NOT NULL,
  first bigint NOT NULL DEFAULT 0 CHECK (first >= 0), -- what is older was pruned
  next bigint NOT NULL DEFAULT 0 CHECK (next >= first) -- index of the leaf to take next
);
CREATE UNIQUE INDEX one_side_serves ON audit.side (serving) WHERE serving;
INSERT INTO audit.side (side, serving) VALUES (0, true), (1, false);
CREATE FUNCTION audit.serving() RETURNS smallint LANGUAGE sql STABLE PARALLEL SAFE
  BEGIN ATOMIC SELECT s.side FROM audit.side s WHERE s.serving; END;

CREATE TABLE audit.event (
  side smallint NOT NULL,
  idx bigint NOT NULL CHECK (idx >= 0),
  at timestamptz NOT NULL, -- wall clock of the recorder, as it was: the order is `idx`
  subject text NOT NULL, -- first word of the type, such as llm
  type text NOT NULL, -- such as llm.request
  outcome text, -- ok | refused | failed | interrupted | degraded
  code text, -- of the table of errors
  actor text NOT NULL,
  request text,
  object text, -- name of what it is about, in lower case
  leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32), -- RFC 6962
  digest bytea NOT NULL CHECK (octet_length(digest) = 32), -- SHA-256 of the stored bytes
  PRIMARY KEY (side, idx)
) PARTITION BY LIST (side);
CREATE TABLE audit.event_0 PARTITION OF audit.event FOR VALUES IN (0);
CREATE TABLE audit.event_1 PARTITION OF audit.event FOR VALUES IN (1);
CREATE INDEX event_subject ON audit.event (subject, idx);
CREATE INDEX event_type ON audit.event (type, idx);
CREATE INDEX event_actor ON audit.event (actor, idx);
CREATE INDEX event_outcome ON audit.event (outcome, idx) WHERE outcome IS NOT NULL;
CREATE INDEX event_code ON audit.event (code, idx) WHERE code IS NOT NULL;
CREATE INDEX event_request ON audit.event (request, idx) WHERE request IS NOT NULL;
CREATE INDEX event_object ON audit.event (object, idx) WHERE object IS NOT NULL;

-- Bounds of the clock in each run of 1024 leaves: a period becomes a range of indexes, exactly,
-- whatever the clock did.
CREATE TABLE audit.slice (
  side smallint NOT NULL,
  slice bigint NOT NULL, -- idx / 1024
  low timestamptz NOT NULL,
  high timestamptz NOT NULL CHECK (high >= low),
  PRIMARY KEY (side, slice)
);

-- What a comparison of the whole copy with the log said.
CREATE TABLE audit.comparison (
  at timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
  size bigint NOT NULL CHECK (size >= 0), -- leaves compared, from the first that is kept
  differs bigint CHECK (differs >= 0) -- first row that is not as the log has it
);

DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY '{side,event,event_0,event_1,slice,comparison}'::text[] LOOP
    EXECUTE format('ALTER TABLE audit.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE audit.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY index ON audit.%I TO casemate_indexer USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;
GRANT SELECT, INSERT, DELETE ON audit.event TO casemate_indexer;
GRANT TRUNCATE ON audit.event_0, audit.event_1 TO casemate_indexer;
GRANT SELECT, INSERT, UPDATE, DELETE ON audit.slice TO casemate_indexer;
GRANT SELECT, UPDATE (serving, first, next) ON audit.side TO casemate_indexer;
GRANT SELECT, INSERT, DELETE ON audit.comparison TO casemate_indexer;

GRANT SELECT ON audit.event, audit.slice, audit.side, audit.comparison TO casemate_console;
CREATE POLICY records ON audit.event FOR SELECT TO casemate_console
  USING (side = (SELECT audit.serving())
         AND ((SELECT audit.reads_all()) OR actor = (SELECT audit.own_actor())));
CREATE POLICY records ON audit.slice FOR SELECT TO casemate_console
  USING (side = (SELECT audit.serving()) AND (SELECT audit.reads_all()));
CREATE POLICY state ON audit.side FOR SELECT TO casemate_console USING (true);
CREATE POLICY state ON audit.comparison FOR SELECT TO casemate_console USING (true);

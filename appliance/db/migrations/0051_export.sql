-- Exports of the log that auditors asked for on a page: the console asks, the worker writes them.
-- The files lie in a folder of the worker; the table says how far each is.

CREATE TABLE audit.export (
  id uuid PRIMARY KEY,
  owner text NOT NULL CHECK (owner <> ''),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  first bigint NOT NULL CHECK (first >= 0),
  last bigint NOT NULL CHECK (last >= first), -- included
  formats text[] NOT NULL CHECK (formats <@ '{jsonl,csv,ocsf,pdf}'::text[]),
  label text NOT NULL,
  site text NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed', 'gone')),
  written bigint NOT NULL DEFAULT 0 CHECK (written >= 0), -- events
  name text, -- of the folder, and of the archive that holds it
  sums text, -- SHA-256 of SHA256SUMS, hex: stands for the whole
  size bigint, -- bytes of the archive
  problem text, -- a code of the table of errors
  done_at timestamptz
);
CREATE INDEX export_of_owner ON audit.export (owner, at DESC);
CREATE INDEX export_waiting ON audit.export (at) WHERE state = 'waiting';
ALTER TABLE audit.export ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.export FORCE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA audit TO casemate_worker;
GRANT SELECT, UPDATE (state, written, name, sums, size, problem, done_at)
  ON audit.export TO casemate_worker;
CREATE POLICY work ON audit.export TO casemate_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT (id, owner, first, last, formats, label, site)
  ON audit.export TO casemate_console;
CREATE POLICY own ON audit.export FOR SELECT TO casemate_console
  USING (owner = current_subject() AND (SELECT audit.reads_all()));
CREATE POLICY ask ON audit.export FOR INSERT TO casemate_console
  WITH CHECK (owner = current_subject() AND state = 'waiting' AND (SELECT audit.reads_all()));

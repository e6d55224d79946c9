-- The owner's history: questions and answers as ciphertext, one row a request. The key of a row is
-- sealed beside the log, never here. The gateway writes for everybody and reads nothing; the
-- console reads what the person of its transaction owns and may still read today: their
-- clearance and collections are asked again at each reading. The worker deletes by age.

CREATE TABLE content (
  request text PRIMARY KEY CHECK (length(request) BETWEEN 16 AND 64),
  record bigint NOT NULL CHECK (record >= 0), -- index of the terminal record in the log
  owner text NOT NULL CHECK (owner <> ''),
  key text NOT NULL, -- id of the application key, or ''
  conversation uuid,
  at timestamptz NOT NULL DEFAULT now(),
  model text NOT NULL,
  label smallint NOT NULL CHECK (label BETWEEN 0 AND 9),
  collections text[] NOT NULL DEFAULT '{}', -- slugs
  outcome text NOT NULL CHECK (outcome IN ('answer', 'nearby', 'none', '')),
  question bytea NOT NULL,
  answer bytea NOT NULL,
  passages jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(passages) = 'array'),
  citations int[] NOT NULL DEFAULT '{}' -- numbers of passages
);
CREATE INDEX content_of_owner ON content (owner, at DESC);
CREATE INDEX content_by_age ON content (at);

ALTER TABLE content ENABLE ROW LEVEL SECURITY;
ALTER TABLE content FORCE ROW LEVEL SECURITY;
GRANT INSERT ON content TO casemate_gateway;
GRANT SELECT ON content TO casemate_console;
GRANT SELECT (at), DELETE ON content TO casemate_worker;
CREATE POLICY write ON content FOR INSERT TO casemate_gateway WITH CHECK (true);
CREATE POLICY own ON content FOR SELECT TO casemate_console USING (
  owner = current_subject() AND label <= app_clearance()
  AND NOT EXISTS (SELECT FROM unnest(collections) AS named (slug)
                  WHERE NOT EXISTS (SELECT FROM collection c WHERE c.slug = named.slug)));
CREATE POLICY retention ON content TO casemate_worker
  USING (at < now() - interval '1 day') WITH CHECK (false);

-- Lists of contents that a site proposes to eliminate, for who gives the visa (profile
-- « administration »). A list names ranges of records, counts and dates: no content, no person.
-- The worker proposes and erases, the console notes the record of the visa; the recorder checks it
-- again in the log before a key is destroyed.

CREATE TABLE elimination (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  proposed_at timestamptz NOT NULL DEFAULT now(),
  months int NOT NULL CHECK (months > 0), -- for which contents are kept
  lines jsonb NOT NULL CHECK (jsonb_typeof(lines) = 'array' AND jsonb_array_length(lines) > 0),
  visa bigint CHECK (visa >= 0), -- index of its record in the log
  erased_at timestamptz CHECK (erased_at IS NULL OR visa IS NOT NULL)
);
CREATE UNIQUE INDEX elimination_open ON elimination ((true)) WHERE erased_at IS NULL;

ALTER TABLE elimination ENABLE ROW LEVEL SECURITY;
ALTER TABLE elimination FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT (months, lines), UPDATE (erased_at) ON elimination TO casemate_worker;
GRANT SELECT, UPDATE (visa) ON elimination TO casemate_console;
CREATE POLICY work ON elimination TO casemate_worker USING (true) WITH CHECK (true);
CREATE POLICY visa ON elimination TO casemate_console USING (true) WITH CHECK (true);

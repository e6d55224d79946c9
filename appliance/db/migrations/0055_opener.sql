-- The reader of sealed contents: sees the ciphertext of one record at a time, the one that two
-- people approved and that its transaction names. It writes nothing, and has no key here.

GRANT SELECT (record, question, answer, label) ON content TO casemate_opener;
CREATE POLICY opened ON content FOR SELECT TO casemate_opener
  USING (record::text = nullif(current_setting('app.record', true), ''));

-- The worker erases old content together with the keys beside the log, which are found by record.
-- It may see which records have content, and how old that is, so that it names no young one; it
-- still deletes by age only, and reads nothing else.

CREATE INDEX content_by_record ON content (record);
GRANT SELECT (record) ON content TO casemate_worker;
DROP POLICY retention ON content;
CREATE POLICY ages ON content FOR SELECT TO casemate_worker USING (true);
CREATE POLICY retention ON content FOR DELETE TO casemate_worker
  USING (at < now() - interval '1 day');

-- Durable jobs: the schema of procrastinate, as its own migrations make it, in a schema of its own.
-- An upgrade of procrastinate that brings new ones comes with a migration that includes these.
CREATE SCHEMA jobs;
SET LOCAL search_path = jobs;
-- include procrastinate.sql/migrations 00.00.00 03.04.00_99
SET LOCAL search_path = public;

-- Its functions name their tables without a schema; callers need not know.
DO $$ DECLARE f regprocedure; BEGIN
  FOR f IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'jobs'::regnamespace LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = jobs', f);
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA jobs TO casemate_worker, casemate_console;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO casemate_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA jobs TO casemate_worker, casemate_console;

-- A job names a document and holds nothing else. The console adds jobs for documents that its
-- principal may read, and sees no other job.
GRANT SELECT, INSERT ON jobs.procrastinate_jobs, jobs.procrastinate_events TO casemate_console;
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY '{procrastinate_jobs,procrastinate_events,procrastinate_workers,
                       procrastinate_periodic_defers}'::text[] LOOP
    EXECUTE format('ALTER TABLE jobs.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE jobs.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY work ON jobs.%I TO casemate_worker USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;
CREATE POLICY need_to_know ON jobs.procrastinate_jobs FOR SELECT TO casemate_console
  USING (args ->> 'document' IN (SELECT d.public_id::text FROM public.document d));
CREATE POLICY deposit ON jobs.procrastinate_jobs FOR INSERT TO casemate_console
  WITH CHECK (task_name IN ('ingest', 'forget')
              AND args ->> 'document' IN (SELECT d.public_id::text FROM public.document d
                                          WHERE d.collection_id = ANY (public.writable_collection())));
CREATE POLICY need_to_know ON jobs.procrastinate_events FOR SELECT TO casemate_console
  USING (job_id IN (SELECT j.id FROM jobs.procrastinate_jobs j));
CREATE POLICY deposit ON jobs.procrastinate_events FOR INSERT TO casemate_console
  WITH CHECK (job_id IN (SELECT j.id FROM jobs.procrastinate_jobs j));

-- When a worker leaves, a foreign key empties `worker_id`, as the owner of the tables, and a trigger
-- adds an event: the owner may add events, and read none.
CREATE POLICY leave ON jobs.procrastinate_events FOR INSERT TO casemate_owner WITH CHECK (true);

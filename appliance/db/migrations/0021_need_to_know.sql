-- Who may read what, and who may write where. Policies read tables under their own policies, so
-- that there is one rule: clearance and group of the collection.

-- The table is qualified: a temporary table of the session must not stand in its place.
CREATE FUNCTION visible_class() RETURNS int[] LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN coalesce((SELECT array_agg(c.id ORDER BY c.id) FROM public.passage_class c), '{}');
END $$;

DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY '{collection,collection_group,passage_class,document,document_page,passage,
                       passage_lex,posting_block,class_count,passage_vector,erasure}'::text[] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO casemate_worker', t);
    EXECUTE format('CREATE POLICY ingest ON %I TO casemate_worker USING (true) WITH CHECK (true)', t);
  END LOOP;
  FOREACH t IN ARRAY '{collection,collection_group,passage_class,document_page,passage,
                       passage_lex,posting_block,class_count,passage_vector}'::text[] LOOP
    EXECUTE format('GRANT SELECT ON %I TO casemate_reader', t);
  END LOOP;
  FOREACH t IN ARRAY '{document_page,passage,passage_lex,posting_block,class_count,
                       passage_vector}'::text[] LOOP
    EXECUTE format('CREATE POLICY need_to_know ON %I FOR SELECT TO casemate_reader
                    USING (class_id = ANY ((SELECT visible_class())::int[]))', t);
  END LOOP;
END $$;

CREATE POLICY need_to_know ON collection_group FOR SELECT TO casemate_reader
  USING (group_path = ANY (app_groups()));
CREATE POLICY need_to_know ON collection FOR SELECT TO casemate_reader
  USING (label <= app_clearance() AND id IN (SELECT g.collection_id FROM collection_group g));
CREATE POLICY need_to_know ON passage_class FOR SELECT TO casemate_reader
  USING (collection_id IN (SELECT c.id FROM collection c));
CREATE POLICY need_to_know ON document FOR SELECT TO casemate_reader
  USING (collection_id IN (SELECT c.id FROM collection c));

-- The gateway opens no original: it reads neither their keys nor their names on disk.
GRANT SELECT (id, public_id, collection_id, owner, name, title, kind, reference, version, dated,
              state, progress, reason, size, deposited_at) ON document TO casemate_reader;
GRANT SELECT (content_id, wrapped_key) ON document TO casemate_console;

-- Who may write is a matter of the group too, and only inside what one may read: a refusal never
-- tells of a collection, or a document, that is hidden.
CREATE FUNCTION writable_collection() RETURNS int[] LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN ARRAY(SELECT DISTINCT g.collection_id FROM public.collection_group g
               JOIN public.collection c ON c.id = g.collection_id WHERE g.can_write);
END $$;

GRANT INSERT (public_id, collection_id, owner, name, title, reference, version, dated, state,
              size, content_id, wrapped_key), UPDATE (progress, reason), DELETE
  ON document TO casemate_console;
CREATE POLICY deposit ON document FOR INSERT TO casemate_console
  WITH CHECK (owner = current_subject() AND progress = 'waiting'
              AND collection_id = ANY ((SELECT writable_collection())::int[]));
CREATE POLICY relaunch ON document FOR UPDATE TO casemate_console
  USING (progress = 'failed' AND collection_id = ANY ((SELECT writable_collection())::int[]))
  WITH CHECK (progress = 'waiting' AND collection_id = ANY ((SELECT writable_collection())::int[]));
CREATE POLICY withdraw ON document FOR DELETE TO casemate_console
  USING (collection_id = ANY ((SELECT writable_collection())::int[]));

GRANT INSERT (collection_id, document, actor, content_id, class_id, passages, terms)
  ON erasure TO casemate_console;
CREATE POLICY withdraw ON erasure FOR INSERT TO casemate_console
  WITH CHECK (actor = current_subject()
              AND collection_id = ANY ((SELECT writable_collection())::int[])
              AND class_id IN (SELECT c.id FROM passage_class c WHERE c.collection_id = erasure.collection_id));

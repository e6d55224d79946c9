-- The analysis of French, one function for documents and questions, and the index of postings:
-- blocks per (term, class), best weights first. Reasons and figures: docs/decisions/0020.

CREATE FUNCTION lex_norm(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN regexp_replace(regexp_replace(
    translate(replace(replace(normalize(t, NFC), 'œ', 'oe'), 'Œ', 'Oe'),
              U&'\2019\2010\2011\2013\00A0\202F', '''---  '),
    '(?<=\w)[-/](?=\w)', ' ', 'g'), '(?<=\d) (?=\d{3}\M)', '', 'g');

CREATE FUNCTION lex_fold(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN translate(t, 'àâäáãåçéèêëíîïìñóôöòõúùûüýÿ', 'aaaaaaceeeeiiiinooooouuuuyy');

-- Function words that pg_catalog.french keeps, as stems; `a` is of « a-t-il ».
CREATE FUNCTION lex_analyze(t text) RETURNS TABLE (term text, tf int)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 60 AS $$
  SELECT lex_fold(l.lexeme), sum(cardinality(l.positions))::int
  FROM unnest(to_tsvector('pg_catalog.french', lex_norm(t))) l
  WHERE length(l.lexeme) <= 64 AND lex_fold(l.lexeme) <> ALL (
    '{a,ains,auss,avoir,cet,combien,comm,comment,donc,dont,elle,entre,etre,fait,il,laquel,le,lequel,
      lesquel,leur,lor,ni,ou,plus,pourquoi,quand,quel,quoi,si,tous,tout,tres}'::text[])
  GROUP BY 1 $$;

CREATE FUNCTION lex_term(term text) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (1 + (hashtextextended(term COLLATE "C", 0) & 9223372036854775807) % 999999999)::int;

CREATE TABLE lex_param (avgdl real NOT NULL, k1 real NOT NULL, b real NOT NULL);  -- frozen
INSERT INTO lex_param VALUES (88.8, 1.2, 0.75);
GRANT SELECT ON lex_param TO casemate_worker, casemate_reader;

-- Index passages, in the transaction that inserts them. The title of the document counts as a
-- part of each passage.
CREATE FUNCTION lex_index(passages int[]) RETURNS void LANGUAGE sql AS $$
  WITH t AS MATERIALIZED (
    SELECT p.id, p.class_id, lex_term(a.term) AS term, sum(a.tf) AS tf,
           sum(sum(a.tf)) OVER (PARTITION BY p.id) AS dl
    FROM passage p JOIN document d ON d.id = p.document_id,
         LATERAL lex_analyze(concat_ws(' ', d.title, p.section, p.body)) a
    WHERE p.id = ANY (passages) GROUP BY 1, 2, 3),
  i AS MATERIALIZED (
    SELECT t.id, t.class_id, t.term,
           (10000 * t.tf * (c.k1 + 1) / (t.tf + c.k1 * (1 - c.b + c.b * t.dl / c.avgdl)))::smallint AS imp
    FROM t, lex_param c),
  f AS (
    INSERT INTO passage_lex (passage_id, class_id, v)
    SELECT id, min(class_id),
           ('{' || string_agg(term || ':' || imp / 10000.0, ',' ORDER BY term) || '}/1000000000')::sparsevec
    FROM i GROUP BY id),
  n AS (INSERT INTO class_count SELECT class_id, count(DISTINCT id) FROM i GROUP BY 1)
  INSERT INTO posting_block (term_id, class_id, n, max_imp, ids, imps)
  SELECT term, class_id, count(*), max(imp), array_agg(id ORDER BY imp DESC, id),
         array_agg(imp ORDER BY imp DESC, id)
  FROM (SELECT *, (row_number() OVER (PARTITION BY term, class_id ORDER BY imp DESC, id) - 1) / 128 AS g
        FROM i) y
  GROUP BY term, class_id, g $$;

-- Terms of passages, kept by a deletion until their postings are gone.
CREATE FUNCTION lex_terms(passages int[]) RETURNS int[] LANGUAGE sql STABLE
  RETURN ARRAY(SELECT DISTINCT lex_term(a.term) FROM passage p JOIN document d ON d.id = p.document_id,
               LATERAL lex_analyze(concat_ws(' ', d.title, p.section, p.body)) a
               WHERE p.id = ANY (passages));

-- Take passages that are gone, all of one class and all counted in it, out of its postings.
CREATE FUNCTION lex_forget(passages int[], terms int[], class int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('lex_compact'));
  WITH hit AS MATERIALIZED (
    SELECT b.id FROM posting_block b
    WHERE b.term_id = ANY (terms) AND b.class_id = class AND b.ids && passages),
  kept AS (
    SELECT b.id, array_agg(u.i ORDER BY u.o) AS ids, array_agg(u.w ORDER BY u.o) AS imps
    FROM hit JOIN posting_block b USING (id),
         LATERAL unnest(b.ids, b.imps) WITH ORDINALITY u(i, w, o)
    WHERE u.i <> ALL (passages) GROUP BY b.id),
  gone AS (DELETE FROM posting_block b USING hit
           WHERE b.id = hit.id AND NOT EXISTS (SELECT FROM kept WHERE kept.id = hit.id))
  UPDATE posting_block b
  SET ids = kept.ids, imps = kept.imps, n = cardinality(kept.ids), max_imp = kept.imps[1]
  FROM kept WHERE b.id = kept.id;
  INSERT INTO class_count VALUES (class, -cardinality(passages));
END $$;

-- Rewrite the postings of a range of terms into full blocks; one transaction per range.
CREATE FUNCTION lex_compact(lo int, hi int) RETURNS bigint LANGUAGE plpgsql
SET work_mem = '128MB' SET jit = off AS $$
DECLARE c bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('lex_compact'));
  WITH cur AS (DELETE FROM posting_block WHERE term_id BETWEEN lo AND hi
               RETURNING term_id, class_id, ids, imps),
  u AS (SELECT term_id, class_id, unnest(ids) AS id, unnest(imps) AS i FROM cur),
  live AS (SELECT u.term_id, u.class_id, u.id, max(u.i) AS i
           FROM u JOIN passage_lex l ON l.passage_id = u.id AND l.class_id = u.class_id GROUP BY 1, 2, 3),
  r AS (SELECT *, row_number() OVER (PARTITION BY term_id, class_id ORDER BY i DESC, id) AS rn FROM live),
  g AS (SELECT *, CASE WHEN rn <= 1024 THEN (rn - 1) / 128 ELSE 8 + (rn - 1025) / 512 END AS g FROM r),
  ins AS (INSERT INTO posting_block (term_id, class_id, n, max_imp, ids, imps)
          SELECT term_id, class_id, count(*), max(i), array_agg(id ORDER BY i DESC, id),
                 array_agg(i ORDER BY i DESC, id)
          FROM g GROUP BY term_id, class_id, g.g RETURNING 1)
  SELECT count(*) INTO c FROM ins;
  RETURN c;
END $$;

CREATE FUNCTION lex_fold_counts() RETURNS void LANGUAGE sql AS $$
  WITH d AS (DELETE FROM class_count RETURNING class_id, n)
  INSERT INTO class_count SELECT class_id, sum(n) FROM d GROUP BY 1 HAVING sum(n) <> 0 $$;

REVOKE EXECUTE ON FUNCTION lex_index, lex_forget, lex_compact, lex_fold_counts FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lex_index, lex_forget, lex_compact, lex_fold_counts TO casemate_worker;

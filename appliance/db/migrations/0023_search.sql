-- Search. Both functions run as the caller: row security applies to each table they read, so that
-- frequencies and counts are sums over rows that the caller may read. `classes` narrows the same
-- tables to the collections that were asked for.

-- BM25. `also` names passages whose exact score is wanted besides the best `k`. Postings are read
-- best weights first up to `budget`; below it the result is exact.
CREATE FUNCTION bm25_search(q text, classes int[], k int, also int[] DEFAULT '{}',
                            budget int DEFAULT 20000, cands int DEFAULT 300)
RETURNS TABLE (passage_id int, score float8, attainable float8)
LANGUAGE plpgsql STABLE SECURITY INVOKER ROWS 50
SET jit = off SET work_mem = '32MB' SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_sort = off AS $f$
#variable_conflict use_column
DECLARE terms int[] := ARRAY(SELECT DISTINCT lex_term(a.term) FROM lex_analyze(q) a);
BEGIN
  IF cardinality(terms) = 0 THEN RETURN; END IF;
  RETURN QUERY
  WITH m AS MATERIALIZED (  -- index only
    SELECT b.term_id, b.n, b.max_imp, b.id FROM posting_block b
    WHERE b.term_id = ANY (terms) AND b.class_id = ANY (classes)),
  w AS MATERIALIZED (
    SELECT d.term_id, ln(1 + (greatest(z.n - d.df, 0) + 0.5) / (d.df + 0.5)) AS idf
    FROM (SELECT m.term_id, sum(m.n)::float8 AS df FROM m GROUP BY 1) d,
         (SELECT coalesce(sum(s.n), 0)::float8 AS n FROM class_count s WHERE s.class_id = ANY (classes)) z),
  sel AS MATERIALIZED (
    SELECT x.id, x.idf FROM (
      SELECT m.id, w.idf, sum(m.n) OVER (ORDER BY w.idf * m.max_imp DESC, m.id ROWS UNBOUNDED PRECEDING)
                          - m.n AS cum
      FROM m JOIN w USING (term_id)) x
    WHERE x.cum < budget),
  cand AS MATERIALIZED (
    SELECT u.id, sum(u.imp * u.idf) AS s
    FROM (SELECT unnest(b.ids) AS id, unnest(b.imps) AS imp, sel.idf FROM sel JOIN posting_block b USING (id)) u
    GROUP BY u.id ORDER BY s DESC, u.id LIMIT cands),
  qv AS MATERIALIZED (
    SELECT ('{' || string_agg(w.term_id || ':' || w.idf, ',' ORDER BY w.term_id) || '}/1000000000')::sparsevec AS v,
           (SELECT (c.k1 + 1) FROM lex_param c) * sum(w.idf) AS attainable
    FROM w),
  scored AS MATERIALIZED (
    SELECT c.passage_id, -(c.v <#> (SELECT v FROM qv)) AS score
    FROM (SELECT id FROM cand UNION SELECT unnest(also)) x JOIN passage_lex c ON c.passage_id = x.id
    WHERE c.class_id = ANY (classes)),
  ranked AS (
    SELECT s.passage_id, s.score, row_number() OVER (ORDER BY s.score DESC, s.passage_id) AS r FROM scored s)
  SELECT r.passage_id, r.score, (SELECT qv.attainable FROM qv)::float8 FROM ranked r
  WHERE r.score > 0 AND (r.r <= k OR r.passage_id = ANY (also)) ORDER BY r.r;
END $f$;

-- BM25 as a share of what the question could reach, plus `weight` times the cosine. A question
-- without a vector is answered by words alone. Below 15 000 rows the scan of vectors is exact.
CREATE FUNCTION hybrid_search(q text, classes int[], qv halfvec, weight float8, k int, depth int DEFAULT 50)
RETURNS TABLE (passage_id int, score float8, lexical float8, cosine float8)
LANGUAGE plpgsql STABLE SECURITY INVOKER ROWS 10
SET jit = off SET plan_cache_mode = force_generic_plan SET max_parallel_workers_per_gather = 0
SET hnsw.ef_search = 100 SET hnsw.iterative_scan = relaxed_order SET hnsw.max_scan_tuples = 20000 AS $f$
#variable_conflict use_column
DECLARE near int[] := '{}';
BEGIN
  IF qv IS NULL THEN  -- nothing near
  ELSIF (SELECT coalesce(sum(s.n), 0) <= 15000 FROM class_count s WHERE s.class_id = ANY (classes)) THEN
    near := ARRAY(SELECT v.passage_id FROM passage_vector v WHERE v.class_id = ANY (classes)
                  ORDER BY (v.embedding <#> qv) + 0, v.passage_id LIMIT depth);
  ELSE
    near := ARRAY(SELECT v.passage_id FROM passage_vector v WHERE v.class_id = ANY (classes)
                  ORDER BY v.embedding <#> qv LIMIT depth);
  END IF;
  RETURN QUERY
  WITH b AS MATERIALIZED (SELECT * FROM bm25_search(q, classes, depth, near)),
  x AS MATERIALIZED (SELECT b.passage_id AS id FROM b UNION SELECT unnest(near))
  SELECT x.id, coalesce(b.score / b.attainable, 0) + weight * coalesce(-(v.embedding <#> qv), 0) AS score,
         coalesce(b.score, 0)::float8, -(v.embedding <#> qv)
  FROM x LEFT JOIN b ON b.passage_id = x.id LEFT JOIN passage_vector v ON v.passage_id = x.id AND qv IS NOT NULL
  ORDER BY score DESC, x.id LIMIT k;
END $f$;

-- Documents: the collection is the unit of access, a class is (collection, in force). Every row
-- that holds content carries its class, and the policies compare that with the classes that the
-- principal of the transaction may read: `int = ANY (int[])` is leakproof, so row security is an
-- index condition and not a filter.

CREATE TABLE collection (
  id        int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  public_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  slug      text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  title     text NOT NULL CHECK (title <> ''),
  label     smallint NOT NULL CHECK (label BETWEEN 0 AND 9)
);

CREATE TABLE collection_group (
  collection_id int NOT NULL REFERENCES collection ON DELETE CASCADE,
  group_path    text NOT NULL CHECK (group_path LIKE '/%'),
  can_write     boolean NOT NULL DEFAULT false,
  PRIMARY KEY (collection_id, group_path)
);

CREATE TABLE passage_class (
  id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  collection_id int NOT NULL REFERENCES collection ON DELETE CASCADE,
  in_force      boolean NOT NULL,
  UNIQUE (collection_id, in_force)
);

CREATE TABLE document (
  id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  public_id     uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  collection_id int NOT NULL REFERENCES collection,
  owner         text NOT NULL CHECK (owner <> ''),
  name          text NOT NULL CHECK (name <> ''),  -- path as it was deposited
  title         text NOT NULL CHECK (title <> ''),
  kind          text CHECK (kind IN ('pdf', 'docx', 'html', 'markdown', 'text')),  -- once parsed
  reference     text,
  version       text,
  dated         date,
  state         text NOT NULL DEFAULT 'in_force' CHECK (state IN ('in_force', 'replaced', 'repealed')),
  progress      text NOT NULL DEFAULT 'waiting'
                CHECK (progress IN ('waiting', 'parsing', 'embedding', 'ready', 'failed')),
  reason        text CHECK ((reason IS NOT NULL) = (progress = 'failed')),
  size          bigint NOT NULL CHECK (size >= 0),
  deposited_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  content_id    bytea NOT NULL CHECK (octet_length(content_id) = 32),
  wrapped_key   bytea NOT NULL,
  UNIQUE (collection_id, content_id)
);

-- The text that the source view shows; passages are ranges of it. `page` counts from 1: pages of
-- a PDF, sheets of the other formats.
CREATE TABLE document_page (
  document_id int NOT NULL REFERENCES document ON DELETE CASCADE,
  page        int NOT NULL CHECK (page > 0),
  class_id    int NOT NULL REFERENCES passage_class,
  body        text NOT NULL,
  PRIMARY KEY (document_id, page)
);

CREATE TABLE passage (
  id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  public_id   uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  document_id int NOT NULL REFERENCES document ON DELETE CASCADE,
  class_id    int NOT NULL REFERENCES passage_class,
  ordinal     int NOT NULL,
  page        int NOT NULL,
  section     text NOT NULL DEFAULT '',
  first_char  int NOT NULL CHECK (first_char >= 0),
  past_char   int NOT NULL CHECK (past_char > first_char),  -- both in characters of the page
  body        text NOT NULL CHECK (octet_length(body) BETWEEN 1 AND 2000),
  UNIQUE (document_id, ordinal)
);

CREATE TABLE passage_lex (
  passage_id int PRIMARY KEY REFERENCES passage ON DELETE CASCADE,
  class_id   int NOT NULL REFERENCES passage_class,
  v          sparsevec(1000000000) NOT NULL  -- weights of BM25, for exact scores
);

CREATE TABLE posting_block (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  term_id  int NOT NULL,
  class_id int NOT NULL REFERENCES passage_class ON DELETE CASCADE,
  n        smallint NOT NULL,
  max_imp  smallint NOT NULL,
  ids      int[] NOT NULL,
  imps     smallint[] NOT NULL
);
CREATE INDEX posting_block_key ON posting_block (term_id, class_id) INCLUDE (n, max_imp, id);
ALTER TABLE passage_lex ALTER v SET STORAGE MAIN;
ALTER TABLE posting_block ALTER ids SET STORAGE PLAIN, ALTER imps SET STORAGE PLAIN;
ALTER TABLE posting_block
  SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE class_count (  -- differences, summed up by `lex_fold_counts`
  class_id int NOT NULL REFERENCES passage_class ON DELETE CASCADE,
  n        int NOT NULL
);

CREATE TABLE passage_vector (
  passage_id int PRIMARY KEY REFERENCES passage ON DELETE CASCADE,
  class_id   int NOT NULL REFERENCES passage_class,
  embedding  halfvec(384) NOT NULL  -- of length 1
);
CREATE INDEX passage_vector_class ON passage_vector (class_id);
CREATE INDEX passage_vector_hnsw ON passage_vector
  USING hnsw (embedding halfvec_ip_ops) WITH (m = 16, ef_construction = 64);

-- What a deletion leaves to do: postings of passages that are gone, and the file. The worker
-- removes the row with the last trace.
CREATE TABLE erasure (
  id            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  collection_id int NOT NULL REFERENCES collection ON DELETE CASCADE,
  document      uuid NOT NULL UNIQUE,
  actor         text NOT NULL CHECK (actor <> ''),
  content_id    bytea NOT NULL CHECK (octet_length(content_id) = 32),
  class_id      int NOT NULL REFERENCES passage_class ON DELETE CASCADE,
  passages      int[] NOT NULL,  -- those that were counted in the class
  terms         int[] NOT NULL
);

"""What the worker writes: texts, passages, postings, vectors."""

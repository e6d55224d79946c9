"""Documents: collections, originals, passages, retrieval under need to know."""

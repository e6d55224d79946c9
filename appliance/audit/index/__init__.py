"""The working copy of the log in PostgreSQL: filled, compared with the log, searched."""

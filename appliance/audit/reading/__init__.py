"""The reader: opens the content of one record for two people, and nothing else."""

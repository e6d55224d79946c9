"""The site: its declared file, and the supervisor of the embedded stack."""

"""The copy of the log at the collector of the site, line by line."""

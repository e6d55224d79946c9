"""The web console: pages rendered by the server, under a strict policy of content."""

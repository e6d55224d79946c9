"""What the auditor's pages are made of: search, histogram, draw, the story of a request."""

"""Documents on paper: data and a template of ours make a PDF, the same bytes each time."""

"""Every SQL statement of the documents domain, one function each."""

"""Elimination of contents as public archives have it: a list, a visa, then the erasure."""

"""Readers of formats: bytes to pages of clean text. They run in the parser program only."""

"""Exports that are asked for on a page: what waits, who writes it, when it goes."""

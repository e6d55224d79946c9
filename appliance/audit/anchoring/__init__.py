"""Anchors: what of the log is kept outside the machine, asked for, checked, and recorded."""

"""Casemate. See ARCHITECTURE.md."""

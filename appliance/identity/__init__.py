"""Principals, tokens, application keys, sessions, provisioning. See ARCHITECTURE.md."""

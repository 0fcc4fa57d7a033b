"""Keelman: a small container orchestrator."""

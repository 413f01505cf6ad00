"""Backends: one module per host library, found by the core through entry points."""

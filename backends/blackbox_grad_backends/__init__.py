"""Backends: one module per host library. The core finds them through entry points."""

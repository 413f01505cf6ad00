"""Adapters: applications that drive the core."""

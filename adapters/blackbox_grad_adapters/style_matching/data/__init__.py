"""Recordings, excerpts, and pairs of them to learn from."""

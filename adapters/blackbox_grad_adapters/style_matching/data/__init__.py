"""Recordings, excerpts, and training pairs."""

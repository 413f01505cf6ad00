"""Distances between recordings."""

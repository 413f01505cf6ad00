"""Listening tests of systems that process audio: a page to listen to, a server that collects answers, and their statistics."""

"""The encoder, the controller, and their weights."""

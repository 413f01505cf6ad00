"""Style matching, measured."""

"""An effect set so that one recording sounds like another."""

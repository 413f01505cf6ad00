"""Is a sound's patch found? `match` on instruments beside other searchers, at equal renders."""

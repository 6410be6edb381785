"""The console at /console: what became of everyone, for people who have never seen a terminal."""

"""Measure the relay as separate processes over loopback, each figure next to its yardstick. `make bench`."""

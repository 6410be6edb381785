"""Break the relay on purpose, and look whether it kept its promises: `make chaos`, a short form in tests."""

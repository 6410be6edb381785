"""What `make audit` looks at. It runs with tools of its own, and imports nothing of the relay."""

"""`python -m app` is `relay`."""

from app.cli import main

main()

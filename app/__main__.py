"""`python -m app` is `relay`."""

from app.cli import main

if __name__ == "__main__":  # a worker imports this module again, under another name
    main()

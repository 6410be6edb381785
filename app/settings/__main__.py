"""Print the settings: `python -m app.settings --markdown` for the README, `--env` for `.env.example`."""

import sys

from app.settings.table import as_env_example, as_markdown


def main(arguments: list[str]) -> int:
    """Write what was asked for to standard output; return the exit code."""
    match arguments:
        case ["--markdown"]:
            sys.stdout.write(as_markdown() + "\n")
        case ["--env"]:
            sys.stdout.write(as_env_example())
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

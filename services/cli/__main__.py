"""`python -m services.cli`, and the `warren` command."""

import sys


def main() -> None:
    """Runs one command and exits with its code. Everything heavy is imported by the command that needs it."""
    from services.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

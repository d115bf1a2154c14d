"""The command line, also as ``python -m airlock``."""

from __future__ import annotations

import sys

from airlock.errors import MissingExtraError


def main() -> None:
    """Run the command line, if what it needs is installed."""
    try:
        import click  # noqa: F401, PLC0415 - an extra
        import rich  # noqa: F401, PLC0415
    except ImportError as error:
        sys.exit(_missing(MissingExtraError("the command line", error.name or "click", "cli")))
    from airlock.cli import airlock  # noqa: PLC0415 - which needs them

    airlock(prog_name="airlock")


def _missing(error: Exception) -> int:
    print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - this is a program
    return 2


if __name__ == "__main__":
    main()

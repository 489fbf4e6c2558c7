"""What the program ``ase-l2h`` calls: the command line, loaded where Ctrl-C is caught.

Nothing is imported here, so that an interrupt can hardly come before.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Load the command line and run it."""
    try:
        from ase_l2h.cli.main import cli

        cli()
    except KeyboardInterrupt:
        # `ase_l2h.cli.common` says the same later, but may be half loaded.
        sys.stderr.write("Error: interrupted\n")
        sys.exit(130)

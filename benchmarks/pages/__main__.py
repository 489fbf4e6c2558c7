"""Write the pages of README.md, docs and pretrained from the committed records.

    python -m benchmarks.pages [NAME ...]

Nothing is run. Without names all pages are written.
"""

from __future__ import annotations

import argparse
from importlib import import_module

# Modules of this folder, each with a function ``write``.
PAGES = (
    *("results", "cards", "frame", "estimators", "hulls", "speed"),
    *("comparison", "breadth", "paper", "action", "scheme", "surfaces"),
    *("proposal", "alone", "xtb", "overhead", "workers"),
)


def main() -> None:
    """Write the pages that are named."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pages", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PAGES))
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(PAGES))
    if unknown:
        parser.error(f"no page {', '.join(unknown)}; there are {', '.join(PAGES)}")
    for name in arguments.names or PAGES:
        import_module(f"benchmarks.pages.{name}").write()


if __name__ == "__main__":
    main()

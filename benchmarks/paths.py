"""Where records, pages and weights are."""

from pathlib import Path

__all__ = ["DOCS", "IMAGES", "PRETRAINED", "README", "RECORDS", "ROOT"]

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "records"
DOCS = ROOT / "docs"
IMAGES = DOCS / "images"
PRETRAINED = ROOT / "pretrained"
README = ROOT / "README.md"

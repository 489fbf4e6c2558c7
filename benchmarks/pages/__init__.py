"""Pages of README.md and docs, made from committed records."""

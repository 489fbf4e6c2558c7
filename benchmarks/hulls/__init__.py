"""Hulls of nanoalloys, against another seed and other methods."""

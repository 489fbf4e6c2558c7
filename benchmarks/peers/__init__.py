"""What other people's searchers need, by the same count."""

"""The trackers of zoo, one per file. The packages that they need are extras."""

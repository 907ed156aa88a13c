"""The trackers of zoo, one per file; the packages that they need are extras."""

"""The penalties of zoo, one per file. Each has its own entry point."""

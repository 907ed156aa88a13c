"""The optimizers that come with zoo, one a file; each reaches the registry through its own entry point."""

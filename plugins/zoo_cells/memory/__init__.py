"""Cells around a memory that is laid out on purpose: delay lines, matrices, normalised stores."""

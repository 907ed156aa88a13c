"""Cells around a memory that is laid out on purpose."""

"""Cells with a designed memory next to their hidden units."""

"""Pages of the cells: equations, a diagram, history, arrays, options and costs, and lists of all cells."""

GENERATED_MARK = "<!-- made by: zoo pages -->"
"""Marks the files that ``zoo pages`` may overwrite."""

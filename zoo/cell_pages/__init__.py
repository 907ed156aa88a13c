"""What is told of the cells: facts for lists, and pages with a picture of one step."""

GENERATED_MARK = "<!-- made by: zoo pages -->"
"""Stands at the top of every file that may be written anew."""

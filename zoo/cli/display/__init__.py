"""Displays of training runs and comparisons: plain lines, JSON, a live display, or warnings only."""

from zoo.cli.display.display import EventHandler, open_display

__all__ = ["EventHandler", "open_display"]

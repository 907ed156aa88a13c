"""How a run is watched: events in; lines, JSON, a live display, or next to nothing out."""

from zoo.cli.display.display import EventHandler, open_display

__all__ = ["EventHandler", "open_display"]

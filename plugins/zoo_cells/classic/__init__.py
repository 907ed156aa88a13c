"""Simple recurrent networks and cells that modify them directly."""

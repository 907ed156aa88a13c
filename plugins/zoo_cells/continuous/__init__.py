"""Discretised differential equations: cells that take the time since the previous step as an input."""

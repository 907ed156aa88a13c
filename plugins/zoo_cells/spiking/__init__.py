"""Cells whose units answer with spikes."""

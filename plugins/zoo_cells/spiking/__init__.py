"""Cells whose units emit spikes."""

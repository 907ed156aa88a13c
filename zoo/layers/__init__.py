"""Layers: cells over sequences, in stacks, in threads."""

from zoo.layers.recurrent import Recurrent, Tape

__all__ = ["Recurrent", "Tape"]

"""Layers: cells over sequences, in stacks, in threads."""

from zoo.layers.config import StackConfig
from zoo.layers.functional import Tape
from zoo.layers.recurrent import Recurrent
from zoo.layers.stepper import Stepper
from zoo.layers.tangents import JVP

__all__ = ["JVP", "Recurrent", "StackConfig", "Stepper", "Tape"]

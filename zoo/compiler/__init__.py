"""From the equations of one step to a jitted forward pass and exact back-propagation through time."""

from zoo.compiler.passes import Passes, passes

__all__ = ["Passes", "passes"]

"""From the equations of one step to a jitted forward pass and exact back-propagation through time."""

from zoo.compiler.cell_kernels import Passes, kernels_of

__all__ = ["Passes", "kernels_of"]

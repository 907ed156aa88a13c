"""From the equations of one step to a jitted forward pass and exact back-propagation through time."""

from zoo.compiler.cell_kernels import CellKernels, kernels_of

__all__ = ["CellKernels", "kernels_of"]

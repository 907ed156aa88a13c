"""The intermediate representation: graphs of nodes, the table of operations and symbolic dimensions."""

# The modules that fill the table of operations.
from zoo.compiler.ir import elementwise_ops, structural_ops

__all__ = ["elementwise_ops", "structural_ops"]

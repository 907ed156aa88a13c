"""Find short convolutions: states that hold the last values of a vector, of which one weighted sum is read.

A step joins the state ``past (window - 1, n)``, oldest value first, and the value of this step to a window
``(window, n)``. It sums the window over time with weights that are the same at every step, and the new state
is the window without its first row. If the state has two axes, time may also be the last. The convolutions
of Mamba, of DeltaNet and of the blocks around cells have this form (``zoo.short_convolution``). The state
becomes one value of the graph, which :mod:`zoo.kernels.short_convolution` computes for all steps. A step
stays as it is if anything else reads the state, or if the value depends on another state, and that state on
the sum.
"""

from __future__ import annotations

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, product
from zoo.compiler.ir.elementwise_ops import MULTIPLY
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.memory_ops import ConvolutionForm, read_with_factors
from zoo.compiler.ir.structural_ops import CONCAT, SUM, concatenate
from zoo.compiler.passes.state_matcher import NoMatch, StateMatcher, mismatches, replace_states


def find_short_convolutions(step_graph: StepGraph) -> StepGraph:
    """Replace states that are short convolutions by sums of all steps; their new states have no nodes."""
    return replace_states(step_graph, _ConvolutionMatcher)


def convolution_mismatches(step_graph: StepGraph) -> dict[str, str]:
    """Reasons for which states that are matrices are not short convolutions, by the name of the state."""
    return mismatches(step_graph, _ConvolutionMatcher)


class _ConvolutionMatcher(StateMatcher):
    """Finds the parts of a short convolution."""

    def replaced(self) -> StepGraph:
        """The step without the state.

        Raises:
            NoMatch: if the state is not a short convolution.
        """
        window = self._window()
        axis, past, value = window.attr, self.leaf, window.inputs[1]
        node, taps = self._weighted_sum(window)
        width, count = product(value.shape), past.shape[axis]
        form = ConvolutionForm(self.name, count, width, transposed=axis > 0)
        value = ops.reshape(value, (ONE, width))
        taps = ops.transpose(taps, (1, 0)) if axis > 0 else taps
        taps = ops.reshape(taps, form.factors_shape)
        memory = read_with_factors(value, taps, form)
        return self.without_state(node, memory, memory)

    def _window(self) -> Node:
        """The past values and the value of this step, joined along the axis of time."""
        new = self.step_graph.new_states[self.name]
        for node in ancestors(self.step_graph.outputs):
            if node.op != CONCAT or len(node.inputs) != 2 or node.inputs[0] is not self.leaf:
                continue
            axis, (past, value) = node.attr, node.inputs
            is_time_axis = axis == 0 or (axis == 1 and node.ndim == 2)
            if not is_time_axis or value.shape[axis] != ONE or value.level == Level.ONCE:
                continue
            later = ops.slice_axis(past, axis, ONE, past.shape[axis])
            shifted = value if past.shape[axis] == ONE else concatenate([later, value], axis)
            if new in (shifted, ops.slice_axis(node, axis, ONE, node.shape[axis])):
                return node
        raise NoMatch("step does not append a value to it, oldest first, and return all but the oldest")

    def _weighted_sum(self, window: Node) -> tuple[Node, Node]:
        """The sum over the window, and the weights, in the shape of the window."""
        for node in ancestors(self.step_graph.outputs):
            if node.op == SUM and tuple(node.attr) == (window.attr,) and node.inputs[0].op == MULTIPLY:
                factors = node.inputs[0].inputs
                weights = [factor for factor in factors if factor is not window]
                if len(weights) == 1 and weights[0].level == Level.ONCE:
                    return node, weights[0]
        raise NoMatch("no sum over the steps of its window has weights that are the same at every step")

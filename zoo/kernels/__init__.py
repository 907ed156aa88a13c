"""Building blocks for kernels: matrix products, elementary functions, the softmax cross-entropy.

Kernels write ``from zoo import kernels`` and then ``kernels.tanh(x)``. Numba is imported when the first
kernel compiles. You can also call every function from Python.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {
    "allocation": "copy copy_into empty empty_sequence fill_zeros zeros zeros_if",
    "array_views": ("as_rows at_step flat flat_slice reshape row rows_of_steps slice_steps"),
    "column_memory": "column_memory_backward column_memory_forward",
    "diagonal_filter": "filter_backward filter_forward",
    "elementary": "exp exp_diff log log1p sigmoid softplus tanh",
    "input_projection": (
        "add_column_sums add_weight_gradient project project_at project_backward project_into "
        "projection_buffer to_dense"
    ),
    "jit": "njit pure_python",
    "linear_algebra": "expm expm_derivative solve",
    "matmul": (
        "add_matmul add_matmul_heads add_matmul_offset add_matmul_ta add_matmul_ta_heads "
        "add_matmul_ta_offset affine matrix_if pack pack_heads pack_heads_transposed pack_transposed "
        "rows_before_steps set_matmul set_matmul_offset steps_per_gradient_block"
    ),
    "matrix_memory": (
        "empty_memories exchanged_planes memory_backward memory_block memory_forward transposed_memories"
    ),
    "momentum_memory": "momentum_memory_backward momentum_memory_forward",
    "random": "random_uniform uniform",
    "sampling": (
        "as_scores is_valid_logits prepare_input_weights project_step sample_softmax sampling_buffer unowned"
    ),
    "selective_scan": "scan_backward scan_forward",
    "short_convolution": "convolution_backward convolution_forward",
    "scalar_ops": "erf int_max int_min maximum minimum row_max select",
    "softmax_loss": "cross_entropies_grad cross_entropy cross_entropy_grad row_cross_entropy",
}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS)

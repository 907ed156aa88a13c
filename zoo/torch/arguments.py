"""Conversion of a module's arguments to :class:`TensorArgs`, of its outputs, and of packed sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from zoo.errors import UsageError
from zoo.layers.validation import check_aux_names
from zoo.torch.config import OWNER, SharedStack, as_precision, check_device, check_dtype
from zoo.torch.operators import TensorArgs
from zoo.torch.states import State

Tensor = Any


def unpack_sequence(packed: Any, lengths: Any, batch_first: bool) -> tuple[Tensor, Tensor]:
    """Padded sequences in their original order, and the length of each ``(B,)``.

    Raises:
        UsageError: if ``lengths`` is passed too.
    """
    if lengths is not None:
        raise UsageError(f"{OWNER}: x is packed and contains its lengths; omit lengths.")
    padded, steps = pad_packed_sequence(packed, batch_first)
    return padded, steps


def pack_like(packed: Any, y: Tensor, lengths: Tensor, batch_first: bool) -> Any:
    """Pack padded outputs like the inputs."""
    order = packed.sorted_indices
    if order is not None:
        y, lengths = y.index_select(0 if batch_first else 1, order), lengths[order]
    result = pack_padded_sequence(y, lengths, batch_first)
    return PackedSequence(result.data, packed.batch_sizes, order, packed.unsorted_indices)


_TOKENS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class CallArguments(NamedTuple):
    """Arguments of one call, time-major and batched.

    Args:
        tensors: The arguments as tensors.
        is_batched: Whether x has a batch axis.
        batch_first: Whether the batch axis of x is first.
    """

    tensors: TensorArgs
    is_batched: bool
    batch_first: bool


def pack_arguments(
    shared: SharedStack,
    arrays: Sequence[Tensor],
    x: Tensor,
    state: State,
    lengths: Any,
    inputs: Mapping[str, Tensor],
    batch_first: bool,
    training: bool,
) -> CallArguments:
    """Validate the arguments of a call and convert them.

    Raises:
        UsageError: if an argument is invalid.
    """
    if inputs:
        check_aux_names(inputs, shared.stack.inputs, OWNER)
    dtype = _checked_dtype(shared, arrays)
    x = _checked_x(shared, x, dtype, batch_first)
    is_batched = x.dim() == (3 if x.is_floating_point() else 2)
    states = [] if state is None else shared.states.as_list(state, OWNER)

    def time_first(tensor: Tensor) -> Tensor:
        if not is_batched:
            return tensor.unsqueeze(1)
        return tensor.transpose(0, 1) if batch_first else tensor

    x = time_first(x)
    tensors = TensorArgs(
        x,
        arrays,
        [_checked_state(shared, n, each, x.shape[1], is_batched, dtype) for n, each in enumerate(states)],
        list(inputs),
        [time_first(_checked_aux(name, each, dtype)) for name, each in inputs.items()],
        torch.randint(2**63 - 1, (2,)) if training and shared.draws else None,
        None if lengths is None else _lengths_tensor(lengths),
    )
    return CallArguments(tensors, is_batched, batch_first)


def empty_outputs(shared: SharedStack, tensors: TensorArgs) -> tuple[Tensor, ...]:
    """Outputs and final states for a batch without sequences; all gradients are zero."""
    floats = [each for each in (tensors.x, *tensors.arrays, *tensors.state) if each.is_floating_point()]
    zero = sum(each.sum() * 0 for each in floats)
    new = tensors.arrays[0].new_empty
    y = new((tensors.x.shape[0], 0, shared.stack.output_size)) + zero
    last = (new(shared.states.shape(which, 0)) + zero for which in range(len(shared.states.kinds)))
    return y, *last


def unpack_outputs(
    shared: SharedStack, batch: CallArguments, y: Tensor, last: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """Outputs and final states in the form of the arguments."""
    if not batch.is_batched:
        axis = int(shared.states.is_stacked)
        return y.squeeze(1), shared.states.to_user([each.squeeze(axis) for each in last])
    return y.transpose(0, 1) if batch.batch_first else y, shared.states.to_user(last)


def _lengths_tensor(lengths: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{OWNER}: lengths cannot be converted to a tensor ({error}); expected integers (B,)."
        ) from None
    is_integer = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
    if not is_integer and tensor.numel():  # an empty list becomes an empty tensor of floats
        raise UsageError(
            f"{OWNER}: lengths are {tensor.dtype} {tuple(tensor.shape)}; expected integers (B,), the steps "
            f"of each sequence."
        )
    return tensor.to(torch.int64)


def _checked_dtype(shared: SharedStack, arrays: Sequence[Tensor]) -> Any:
    """Check the parameters, which may have been replaced, since kernels check nothing; return their dtype."""
    dtype = check_dtype(arrays[0].dtype)
    for tensor, (name, shape) in zip(arrays, shared.shapes.items(), strict=True):
        if tensor.shape != shape or tensor.dtype != dtype:
            raise UsageError(
                f"{OWNER}: {name} is {tensor.dtype} {tuple(tensor.shape)}; expected {dtype} {shape}, as at "
                f"construction."
            )
    for name, buffer in zip(shared.buffers, arrays[len(shared.names.names) :], strict=True):
        if buffer.requires_grad:
            raise UsageError(
                f"{OWNER}: buffer {name!r} requires a gradient, and none is computed; exclude it, for "
                f"example from the arguments that torch.func.grad differentiates."
            )
    if dtype == torch.float64:  # neither per call nor under torch.compile for the dtype that has both
        as_precision(shared.stack.config.precision, dtype)
    return dtype


def _checked_x(shared: SharedStack, x: Any, dtype: Any, batch_first: bool) -> Tensor:
    """Check x; convert it to the module's dtype under autocast."""
    if isinstance(x, torch.Tensor):
        check_device(x.device, "x is")
        if x.dtype in _TOKENS and x.dim() in (1, 2):
            return x
        if x.is_floating_point() and x.dim() in (2, 3) and x.shape[-1] == shared.stack.input_size:
            return _to_dtype(x, dtype, "x")
    description = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
    front = "B, T" if batch_first else "T, B"
    raise UsageError(
        f"{OWNER}: x is {description}; expected a tensor of floats ({front}, {shared.stack.input_size}) or "
        f"of integer tokens ({front}), or one sequence without the B."
    )


def _to_dtype(tensor: Tensor, dtype: Any, label: str) -> Tensor:
    """Convert a float tensor to the module's dtype, under autocast only."""
    if tensor.dtype == dtype:
        return tensor
    if not torch.is_autocast_enabled("cpu"):
        raise UsageError(
            f"{OWNER}: {label} is {tensor.dtype} and the module {dtype}; convert one of them, "
            f"{label}.to({dtype})."
        )
    return tensor.to(dtype)


def _checked_state(
    shared: SharedStack, which: int, tensor: Any, batch: Any, is_batched: bool, dtype: Any
) -> Tensor:
    """Check one tensor of initial states; add a batch axis."""
    name, axis = shared.states.kinds[which], int(shared.states.is_stacked)
    expected = shared.states.shape(which, batch)
    shape = expected if is_batched else expected[:axis] + expected[axis + 1 :]
    if not isinstance(tensor, torch.Tensor) or tensor.shape != shape:
        description = (
            f"{tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else f"a {type(tensor).__name__}"
        )
        raise UsageError(f"{OWNER}: state {name!r} is {description}; expected a tensor {tuple(shape)}.")
    check_device(tensor.device, f"state {name!r} is")
    tensor = _to_dtype(tensor, dtype, f"state {name!r}")
    return tensor if is_batched else tensor.unsqueeze(axis)


def _checked_aux(name: str, tensor: Any, dtype: Any) -> Tensor:
    """Check an auxiliary input."""
    if not isinstance(tensor, torch.Tensor) or tensor.requires_grad:
        problem = (
            "requires a gradient" if isinstance(tensor, torch.Tensor) else f"is a {type(tensor).__name__}"
        )
        raise UsageError(
            f"{OWNER}: input {name!r} {problem}; expected a tensor that needs no gradient: none is computed."
        )
    check_device(tensor.device, f"input {name!r} is")
    return tensor.to(dtype)

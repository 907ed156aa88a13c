"""Packed sequences: unpacked, and packed again in the same order.

What a module is called with, made what the passes take; and what they give, made what users get.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from zoo.errors import UsageError
from zoo.torch.bridge import Given
from zoo.torch.checks import WHO, check_device, check_dtype
from zoo.torch.config import Outline
from zoo.torch.states import State

Tensor = Any


def unpack(packed: Any, lengths: Any, batch_first: bool) -> tuple[Tensor, Tensor]:
    """The padded sequences in their own order, and the steps of each ``(B,)``.

    Raises:
        UsageError: if lengths were given besides.
    """
    if lengths is not None:
        raise UsageError(f"{WHO}: x is packed and holds its lengths; leave the others out.")
    padded, steps = pad_packed_sequence(packed, batch_first)
    return padded, steps


def pack_like(packed: Any, y: Tensor, lengths: Tensor, batch_first: bool) -> Any:
    """Padded outputs, packed as the inputs were."""
    order = packed.sorted_indices
    if order is not None:
        y, lengths = y.index_select(0 if batch_first else 1, order), lengths[order]
    found = pack_padded_sequence(y, lengths, batch_first)
    return PackedSequence(found.data, packed.batch_sizes, order, packed.unsorted_indices)


_TOKENS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Call(NamedTuple):
    """One call, time first and with a batch.

    Args:
        given: What the passes take.
        is_batched: Whether x has a batch.
        batch_first: Whether the batch of x is in front.
    """

    given: Given
    is_batched: bool
    batch_first: bool


def prepare(
    outline: Outline,
    arrays: Sequence[Tensor],
    x: Tensor,
    state: State,
    lengths: Any,
    inputs: Mapping[str, Tensor],
    batch_first: bool,
    training: bool,
) -> Call:
    """What the passes take of a call.

    Raises:
        UsageError: if something does not fit.
    """
    dtype = _checked_dtype(outline, arrays)
    x = _checked_x(outline, x, dtype, batch_first)
    is_batched = x.dim() == (3 if x.is_floating_point() else 2)
    states = [] if state is None else outline.states.listed(state, WHO)

    def time_first(tensor: Tensor) -> Tensor:
        if not is_batched:
            return tensor.unsqueeze(1)
        return tensor.transpose(0, 1) if batch_first else tensor

    x = time_first(x)
    given = Given(
        x,
        arrays,
        [_first_state(outline, n, each, x.shape[1], is_batched, dtype) for n, each in enumerate(states)],
        list(inputs),
        [time_first(_beside(name, each, dtype)) for name, each in inputs.items()],
        torch.randint(2**63 - 1, (2,)) if training and outline.draws else None,
        None if lengths is None else _steps_of(lengths),
    )
    return Call(given, is_batched, batch_first)


def returned(outline: Outline, call: Call, y: Tensor, last: Sequence[Tensor]) -> tuple[Tensor, State]:
    """What users get."""
    if not call.is_batched:
        batch = 1 if outline.states.is_stacked else 0
        return y.squeeze(1), outline.states.as_returned([each.squeeze(batch) for each in last])
    return y.transpose(0, 1) if call.batch_first else y, outline.states.as_returned(last)


def _steps_of(lengths: Any) -> Tensor:
    """The lengths of rows as a tensor."""
    try:
        return torch.as_tensor(lengths, dtype=torch.int64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{WHO}: lengths cannot be made a tensor ({error}); expected integers (B,)."
        ) from None


def _checked_dtype(outline: Outline, arrays: Sequence[Tensor]) -> Any:
    """The dtype of the parameters: kernels check nothing, and somebody may have replaced one by another."""
    dtype = check_dtype(arrays[0].dtype)
    for tensor, (name, shape) in zip(arrays, outline.shapes.items(), strict=True):
        if tensor.shape != shape or tensor.dtype != dtype:
            raise UsageError(
                f"{WHO}: {name} is {tensor.dtype} {tuple(tensor.shape)}; expected {dtype} {shape}, as it was "
                f"made."
            )
    return dtype


def _checked_x(outline: Outline, x: Any, dtype: Any, batch_first: bool) -> Tensor:
    """The x of a call, under autocast in the module's dtype."""
    if isinstance(x, torch.Tensor):
        check_device(x.device, "x is")
        if x.dtype in _TOKENS and x.dim() in (1, 2):
            return x
        if x.is_floating_point() and x.dim() in (2, 3) and x.shape[-1] == outline.stack.input_size:
            return _converted(x, dtype, "x")
    told = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
    front = "B, T" if batch_first else "T, B"
    raise UsageError(
        f"{WHO}: x is {told}; expected a tensor of floats ({front}, {outline.stack.input_size}) or of "
        f"integer tokens ({front}), or one sequence without the B."
    )


def _converted(tensor: Tensor, dtype: Any, what: str) -> Tensor:
    """A tensor of floats in the module's dtype: only autocast converts unasked, here as elsewhere."""
    if tensor.dtype == dtype:
        return tensor
    if not torch.is_autocast_enabled("cpu"):
        raise UsageError(
            f"{WHO}: {what} is {tensor.dtype} and the module {dtype}; convert one of them, "
            f"{what}.to({dtype})."
        )
    return tensor.to(dtype)


def _first_state(
    outline: Outline, which: int, tensor: Any, batch: Any, is_batched: bool, dtype: Any
) -> Tensor:
    """One tensor of first states, with a batch."""
    name, axis = outline.states.kinds[which], int(outline.states.is_stacked)
    expected = outline.states.shape(which, batch)
    shape = expected if is_batched else expected[:axis] + expected[axis + 1 :]
    if not isinstance(tensor, torch.Tensor) or tensor.shape != shape:
        told = f"{tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else f"a {type(tensor).__name__}"
        raise UsageError(f"{WHO}: state {name!r} is {told}; expected a tensor {tuple(shape)}.")
    check_device(tensor.device, f"state {name!r} is")
    tensor = _converted(tensor, dtype, f"state {name!r}")
    return tensor if is_batched else tensor.unsqueeze(axis)


def _beside(name: str, tensor: Any, dtype: Any) -> Tensor:
    """An input beside x."""
    if not isinstance(tensor, torch.Tensor) or tensor.requires_grad:
        told = "requires a gradient" if isinstance(tensor, torch.Tensor) else f"is a {type(tensor).__name__}"
        raise UsageError(
            f"{WHO}: input {name!r} {told}; expected a tensor that needs no gradient: none is computed."
        )
    check_device(tensor.device, f"input {name!r} is")
    return tensor.to(dtype)

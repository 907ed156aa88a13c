"""Packed sequences: unpacked, and packed again in the same order."""

from __future__ import annotations

from typing import Any

from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from zoo.errors import UsageError
from zoo.torch.limits import WHO

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

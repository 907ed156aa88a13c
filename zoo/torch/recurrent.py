"""``zoo.torch.Recurrent``: any cell, stacked, as a module of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from zoo.arguments import as_bool
from zoo.base import Cell
from zoo.layers.checkpointing import check_recompute
from zoo.layers.config import CellSpec, resolve_cells
from zoo.torch.arguments import pack_like, prepare, returned, unpack
from zoo.torch.autograd import recorded
from zoo.torch.checks import check_device, check_dtype
from zoo.torch.config import Plan, outline_of
from zoo.torch.states import State

Tensor = Any


class Recurrent(torch.nn.Module):  # type: ignore[misc]
    """A stack of recurrent layers of any cell, as ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` are of theirs.

    It computes on the CPU, in float32 or float64, in as many threads as ``torch.set_num_threads`` says.

    >>> rnn = zoo.torch.Recurrent("lstm", input_size=3, hidden_size=5)
    >>> y, (h, c) = rnn(torch.ones(7, 2, 3))

    ``vanilla``, ``lstm``, ``lstm_projected`` and ``gru`` have the parameters of PyTorch's modules, with their
    names, shapes and order: a ``state_dict`` goes both ways, and that of an optimizer too. What their option
    ``forget_bias`` adds is part of ``bias_ih_l0`` here. The parameters of all other cells are called as in
    zoo, ``l0.Wx``.

    Args:
        cell: Name of a registered cell, a cell class, or a cell with its options chosen; or a list with one
            of these for each layer.
        input_size: ``I``, features of the input or number of different tokens.
        hidden_size: ``H``.
        num_layers: ``L``.
        batch_first: Whether x, the outputs and inputs beside x are ``(B, T, ...)``; states are not.
        bidirectional: Whether every layer is two, one for each direction of time; D is then 2.
        dropout: How probable it is in training that a number between layers is dropped.
        dtype: ``torch.float32`` or ``torch.float64``; None for PyTorch's default.
        device: The CPU, or None.
        residual: Whether layers add their input to their output, where both have the same size.
        learned_state: Whether first states, in calls that give none, are parameters.
        recompute: None to keep all that the way back needs; steps per segment, or ``"sqrt"``, to keep less
            and compute it again, as for :class:`zoo.Recurrent`.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if an argument does not fit.
    """

    def __init__(
        self,
        cell: CellSpec | Sequence[CellSpec],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dtype: Any = None,
        device: Any = None,
        *,
        residual: bool = False,
        learned_state: bool = False,
        recompute: int | str | None = None,
    ) -> None:
        super().__init__()
        found = resolve_cells(cell)
        self.batch_first = as_bool(batch_first, "zoo.torch.Recurrent: batch_first")
        self._plan = Plan(
            found if isinstance(found, Cell) else tuple(found),
            input_size,
            hidden_size,
            num_layers,
            bidirectional,
            dropout,
            residual,
            learned_state,
            check_recompute(recompute),
        )
        self._outline = outline_of(self._plan)
        check_device(torch.device("cpu" if device is None else device))
        self._make(check_dtype(torch.get_default_dtype() if dtype is None else dtype))
        self.reset_parameters()

    def forward(
        self, x: Any, state: State = None, lengths: Any = None, **inputs: Tensor
    ) -> tuple[Any, State]:
        """Run the layers over a sequence.

        Args:
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``, with the batch in front if ``batch_first``;
                ``(T, I)`` or ``(T,)`` for one sequence without a batch; or a ``PackedSequence`` of either.
            state: States before the first step, in the form in which they are returned; if None the learned
                ones, or zeros.
            lengths: Steps of each row, ``(B,)`` integers; None if all rows have T steps. What stands behind
                the end of a row is not read; there the outputs are zero, and the last states are those at
                its end.
            **inputs: What the cell takes beside x, ``dt=...`` of shape ``(T, B, ...)``; nothing is
                differentiated by it.

        Returns:
            The outputs ``(T, B, ·)``, packed if x is, and the states after the last step: a tensor
            ``(L·D, B, H)`` for a cell with one state, a tuple of them for one with several, in the order in
            which the cell declares them, ``(h, c)`` for the LSTM. Where layers differ in what they carry, a
            dictionary, ``"l0.h"`` to ``(B, ·)``.

        Raises:
            UsageError: if something does not fit.
        """
        if isinstance(x, PackedSequence):
            padded, lengths = unpack(x, lengths, self.batch_first)
            y, last = self.forward(padded, state, lengths, **inputs)
            return pack_like(x, y, lengths, self.batch_first), last
        call = prepare(
            self._outline, self._tensors(), x, state, lengths, inputs, self.batch_first, self.training
        )
        y, *last = recorded(self._outline, call.given)
        return returned(self._outline, call, y, last)

    def reset_parameters(self) -> None:
        """Draw the parameters anew, from a seed that PyTorch's generator gives."""
        seed = int(torch.randint(2**63 - 1, ()))
        values = self._outline.to_module(self._outline.stack.initial_values(seed)).values()
        with torch.no_grad():
            for target, value in zip(self._tensors(), values, strict=True):
                target.copy_(torch.from_numpy(value))

    def flatten_parameters(self) -> None:
        """Lay parameters out in memory as kernels read them, which they are from the start.

        Others are copied in every call. They come from what replaces a parameter by another, such as
        ``load_state_dict(..., assign=True)``.
        """
        for parameter in self.parameters():
            parameter.data = self._outline.names.laid_out(parameter.data)

    @property
    def dtype(self) -> Any:
        """Of parameters, outputs and states."""
        return self._tensors()[0].dtype

    def extra_repr(self) -> str:
        """What ``print`` shows in brackets."""
        return self._outline.stack.config.describe() + ", batch_first=True" * self.batch_first

    def _make(self, dtype: Any) -> None:
        """Make parameters and buffers; their values are drawn later."""
        arrays = self._outline.to_module(self._outline.zeros())
        self._paths = tuple(tuple(name.split(".")) for name in arrays)
        for (*owners, last), (name, value) in zip(self._paths, arrays.items(), strict=True):
            owner = self
            for each in owners:
                if not hasattr(owner, each):
                    owner.add_module(each, Part())
                owner = getattr(owner, each)
            tensor = torch.from_numpy(value).to(dtype, copy=True)  # keeps the order in memory
            if name in self._outline.buffers:
                owner.register_buffer(last, tensor)
            else:
                owner.register_parameter(last, torch.nn.Parameter(tensor))

    def _tensors(self) -> list[Tensor]:
        """Parameters and then buffers, as they are now."""
        return [_attribute(self, path) for path in self._paths]

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Recurrent:
        """What ``to``, ``double`` and ``cuda`` call; refuses before it has begun."""
        after = fn(torch.empty(0, dtype=self.dtype))
        check_device(after.device)
        check_dtype(after.dtype)
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_outline"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._outline = outline_of(self._plan)


class Part(torch.nn.Module):  # type: ignore[misc]
    """The parameters and buffers of one layer, by their names in zoo."""

    def extra_repr(self) -> str:
        """What ``print`` shows in brackets."""
        named = (*self.named_parameters(recurse=False), *self.named_buffers(recurse=False))
        return ", ".join(f"{name}: {tuple(value.shape)}" for name, value in named)


def _attribute(module: Any, path: Sequence[str]) -> Tensor:
    """An attribute of an attribute; what replaces parameters, as parametrizations do, is found too."""
    for name in path:
        module = getattr(module, name)
    return module

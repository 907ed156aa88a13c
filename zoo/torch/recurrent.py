"""``zoo.torch.Recurrent``: a stack of recurrent layers as a PyTorch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import PackedSequence

from zoo.arguments import as_bool, as_integer
from zoo.base import Cell
from zoo.errors import UsageError
from zoo.layers.config import (
    LAYER_SWITCHES,
    STACK_DEFAULTS,
    CellLike,
    LayerOptions,
    StackConfig,
    resolve_cells,
    with_options,
)
from zoo.layers.recurrent import Recurrent as Layer
from zoo.layers.stack import warn_without_effect
from zoo.registry import get_cell
from zoo.torch.arguments import empty_outputs, pack_arguments, pack_like, unpack_outputs, unpack_sequence
from zoo.torch.autograd_functions import apply_recurrent
from zoo.torch.config import OWNER, as_precision, check_device, check_dtype, shared_stack
from zoo.torch.operators import NO_TRANSLATION
from zoo.torch.states import State

if TYPE_CHECKING:
    from typing_extensions import Unpack

Tensor = Any


def _projected(cell: CellLike | Sequence[CellLike], size: int) -> Cell:
    """The LSTM with a projection of its output.

    Raises:
        UsageError: if the cell is not the LSTM.
    """
    resolved = resolve_cells(cell)
    if not isinstance(resolved, Cell) or resolved.name != "lstm":
        name = repr(resolved.name) if isinstance(resolved, Cell) else "a list"
        raise UsageError(
            f"{OWNER}: proj_size is {size}, which only the cell 'lstm' takes, and the cell is {name}; omit "
            f"it, or put a torch.nn.Linear after the layer."
        )
    declared = resolved.declared_options
    chosen = {name: value for name, value in resolved.options.items() if value != declared[name].default}
    return get_cell("lstm_projected", proj=size, **chosen)


class Recurrent(torch.nn.Module):  # type: ignore[misc]
    """A stack of recurrent layers of any cell, with the interface of ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``.

    It computes on the CPU, in float32 or float64. ``torch.set_num_threads`` sets the number of threads.

    >>> rnn = zoo.torch.Recurrent("lstm", input_size=3, hidden_size=5)
    >>> y, (h, c) = rnn(torch.ones(7, 2, 3))

    ``vanilla``, ``lstm``, ``lstm_projected`` and ``gru`` have the parameters of PyTorch's modules, with their
    names, shapes and order: you can exchange the ``state_dict`` of a module and of its optimizer. The option
    ``forget_bias`` is part of ``bias_ih_l0`` here. Parameters of other cells have their names in zoo,
    ``l0.Wx``.

    Args:
        cell: Name of a registered cell, a cell class, or a cell with options; or a list with one of these per
            layer.
        input_size: ``I``, input features or number of different tokens.
        hidden_size: ``H``.
        num_layers: ``L``.
        bias: Only True: the biases of a cell belong to its equations.
        proj_size: Size of the projection of ``"lstm"``, which makes it ``"lstm_projected"``; 0 for none.
        batch_first: Whether x, the outputs and auxiliary inputs are ``(B, T, ...)``; states are not.
        dtype: ``torch.float32`` or ``torch.float64``; None for PyTorch's default.
        device: The CPU, or None.
        **options: ``bidirectional``, ``dropout``, ``residual``, ``learned_state``, ``recompute`` and
            ``precision``: see :class:`zoo.layers.StackConfig`. With ``bidirectional``, D is 2.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if an argument is invalid.
    """

    @with_options(OWNER, LayerOptions, STACK_DEFAULTS)
    def __init__(
        self,
        cell: CellLike | Sequence[CellLike],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        proj_size: int = 0,
        batch_first: bool = False,
        dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__()
        if not as_bool(bias, f"{OWNER}: bias"):
            raise UsageError(
                f"{OWNER}: bias is False, but the biases of a cell belong to its equations; omit it, and "
                f"set the biases to zero and call requires_grad_(False) on them, or write a cell without."
            )
        if as_integer(proj_size, f"{OWNER}: proj_size", 0):
            cell = _projected(cell, proj_size)
        resolved = check_dtype(torch.get_default_dtype() if dtype is None else dtype)
        options["precision"] = as_precision(options.get("precision"), resolved)
        self._config = StackConfig(cell, input_size, hidden_size, num_layers, **options)
        self.batch_first = as_bool(batch_first, "zoo.torch.Recurrent: batch_first")
        self._shared = shared_stack(self._config)
        check_device(torch.device("cpu" if device is None else device))
        self._create_parameters(resolved)
        self.reset_parameters()
        warn_without_effect(self._shared.stack)

    def forward(
        self, x: Any, state: State = None, lengths: Any = None, **inputs: Tensor
    ) -> tuple[Any, State]:
        """Run the layers over a sequence.

        Args:
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``, with the batch in front if ``batch_first``;
                ``(T, I)`` or ``(T,)`` for one sequence without a batch; or a ``PackedSequence`` of either.
            state: Initial states, in the form of the returned states; None for the learned ones or zeros.
            lengths: Length of each sequence, ``(B,)`` integers; None if all have T steps. Padding is not
                read; its outputs are zero. Final states are those at the end of each sequence.
            **inputs: Auxiliary inputs of the cell, ``dt=...`` of shape ``(T, B, ...)``; they get no gradient.

        Returns:
            The outputs ``(T, B, ·)``, packed if x is, and the final states: a tensor ``(L·D, B, H)`` for a
            cell with one state, a tuple of tensors for several, in the order of declaration, ``(h, c)`` for
            the LSTM. If the states of layers differ, a dictionary, ``"l0.h"`` to ``(B, ·)``.

        Raises:
            UsageError: if an argument is invalid.
        """
        if torch.jit.is_tracing():
            raise UsageError(NO_TRANSLATION)
        if isinstance(x, PackedSequence):
            padded, lengths = unpack_sequence(x, lengths, self.batch_first)
            y, last = self.forward(padded, state, lengths, **inputs)
            return pack_like(x, y, lengths, self.batch_first), last
        batch = pack_arguments(
            self._shared, self._tensors(), x, state, lengths, inputs, self.batch_first, self.training
        )
        run = apply_recurrent if batch.tensors.x.shape[1] else empty_outputs
        y, *last = run(self._shared, batch.tensors)
        return unpack_outputs(self._shared, batch, y, last)

    def reset_parameters(self) -> None:
        """Initialise the parameters with a seed from PyTorch's generator."""
        seed = int(torch.randint(2**63 - 1, ()))
        values = self._shared.to_module(self._shared.stack.initial_values(seed)).values()
        with torch.no_grad():
            for target, value in zip(self._tensors(), values, strict=True):
                target.copy_(torch.from_numpy(value))

    def flatten_parameters(self) -> None:
        """Restore the memory layout of the kernels.

        Parameters in another layout are copied in every call. They come from replaced parameters, for example
        by ``load_state_dict(..., assign=True)``.
        """
        for parameter in self.parameters():
            parameter.data = self._shared.names.to_kernel_layout(parameter.data)

    def to_layer(self) -> Layer:
        """Copy the parameters to a ``zoo.Recurrent``, for export, and for streams with ``step``.

        >>> layer = zoo.torch.Recurrent("gru", input_size=3, hidden_size=5).to_layer()
        >>> zoo.export.to_onnx(layer, "gru.onnx")
        """
        options = {name: getattr(self._config, name) for name in LAYER_SWITCHES}
        config = StackConfig(
            self._config.cells,
            self.input_size,
            self.hidden_size,
            self.num_layers,
            dtype=str(self.dtype).removeprefix("torch."),
            recompute=self._config.recompute,
            **options,
        )
        values = [each.detach().numpy() for each in self._tensors()]
        return Layer.from_config(config, self._shared.arrays(values), batch_first=self.batch_first)

    @property
    def dtype(self) -> Any:
        """The dtype of parameters, outputs and states."""
        return self._tensors()[0].dtype

    @property
    def input_size(self) -> int:
        """``I``."""
        return self._config.input_size

    @property
    def hidden_size(self) -> int:
        """``H``."""
        return self._config.hidden_size

    @property
    def num_layers(self) -> int:
        """``L``."""
        return self._config.num_layers

    @property
    def bidirectional(self) -> bool:
        """Whether every layer has a second direction."""
        return self._config.bidirectional

    @property
    def dropout(self) -> float:
        """Probability that an element between two layers is dropped."""
        return self._config.dropout

    @property
    def residual(self) -> bool:
        """Whether the input of a layer is added to its output."""
        return self._config.residual

    def extra_repr(self) -> str:
        """The text that ``print`` shows in parentheses."""
        return self._config.describe() + ", batch_first=True" * self.batch_first

    def _create_parameters(self, dtype: Any) -> None:
        """Create parameters and buffers, uninitialised."""
        arrays = self._shared.to_module(self._shared.zeros())
        self._paths = tuple(tuple(name.split(".")) for name in arrays)
        for (*owners, last), (name, value) in zip(self._paths, arrays.items(), strict=True):
            owner = self
            for each in owners:
                if not hasattr(owner, each):
                    owner.add_module(each, LayerParameters())
                owner = getattr(owner, each)
            tensor = torch.from_numpy(value).to(dtype, copy=True)  # preserves the memory layout
            if name in self._shared.buffers:
                owner.register_buffer(last, tensor)
            else:
                owner.register_parameter(last, torch.nn.Parameter(tensor))

    def _tensors(self) -> list[Tensor]:
        """The current parameters and then buffers."""
        return [_attribute(self, path) for path in self._paths]

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Recurrent:
        """The method behind ``to``, ``double`` and ``cuda``; validate before any change."""
        converted = fn(torch.empty(0, dtype=self.dtype))
        check_device(converted.device)
        as_precision(self._config.precision, check_dtype(converted.dtype))
        super()._apply(fn, recurse)
        return self

    def __prepare_scriptable__(self) -> Recurrent:
        """Raise an error: ``torch.jit.script`` calls this before it reads the code.

        Raises:
            UsageError: always.
        """
        raise UsageError(NO_TRANSLATION)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_shared"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._shared = shared_stack(self._config)


class LayerParameters(torch.nn.Module):  # type: ignore[misc]
    """Parameters and buffers of one layer, by their names in zoo."""

    def extra_repr(self) -> str:
        """The text that ``print`` shows in parentheses."""
        named = (*self.named_parameters(recurse=False), *self.named_buffers(recurse=False))
        return ", ".join(f"{name}: {tuple(value.shape)}" for name, value in named)


def _attribute(module: Any, path: Sequence[str]) -> Tensor:
    """An attribute by its path; this includes replaced parameters, such as parametrizations."""
    for name in path:
        module = getattr(module, name)
    return module

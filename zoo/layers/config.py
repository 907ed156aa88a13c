"""The arguments of a stack of recurrent layers, validated and in one place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, TypedDict, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from zoo.arguments import as_bool, as_fraction, as_integer, counted, short_repr
from zoo.base import Block, Cell
from zoo.base.names import did_you_mean, near_names
from zoo.errors import UsageError, ZooError
from zoo.kernels.precision import check_precision
from zoo.layers.time_chunks import Recompute, check_recompute
from zoo.layers.validation import as_cells, as_dtype, cells_label
from zoo.registry import layer_names, place_in_stack, resolve_cell, resolve_cell_in_block

BlockLike: TypeAlias = str | type[Block] | Block
CellLike: TypeAlias = str | type[Cell] | Cell
Function = TypeVar("Function", bound=Callable[..., Any])


class LayerOptions(TypedDict, total=False):
    """Arguments of :class:`StackConfig` that ``zoo.torch.Recurrent`` takes as ``**options``."""

    block: BlockLike | None
    recompute: int | str | None
    bidirectional: bool
    dropout: float
    residual: bool
    learned_state: bool
    precision: str | None


class StackOptions(LayerOptions, total=False):
    """Arguments of :class:`StackConfig` that ``zoo.Recurrent`` and the models take as ``**options``."""

    dtype: DTypeLike


@dataclass(frozen=True, init=False)
class StackConfig:
    """Arguments of a stack of recurrent layers. Equal configs compare equal and have equal hashes.

    Layers and models make one of their keyword arguments, or take one in ``from_config``; defaults and checks
    are here only.

    Args:
        cells: Name of a registered cell, a cell class, or a cell with its options chosen; or a list with one
            of these for each layer. The attribute is a tuple with the cell of each layer, in its block.
        input_size: ``I``, features of the input or number of different tokens.
        hidden_size: ``H``, hidden units of a layer.
        num_layers: ``L``, layers; layer k reads the output of layer k - 1. With a list of cells you may
            leave it out.
        dtype: ``"float32"`` or ``"float64"``.
        block: The block around the cell of every layer: the name of a registered block such as ``"prenorm"``,
            a block class, or a block with its options chosen. ``cell="prenorm(lstm)"`` is the same, and a
            list of such names makes other blocks in other layers. The first layer projects its input to the
            width ``H``.
        recompute: Gradient checkpointing over time. None saves everything that the backward pass needs. The
            steps per segment, or ``"sqrt"`` for about sqrt(T) segments of 1,024 tokens at least, saves only
            the states between segments (and the input of every layer, if they are bidirectional) and runs
            each segment again in the backward pass. Outputs and states are the same, gradients are the same
            up to rounding, and time grows by about a third. Outputs of a matrix memory, which computes 16
            steps together, are the same up to rounding.
        bidirectional: Whether every layer has a second direction with parameters ``"l0.reverse.Wxh"`` and
            states ``"l0.reverse.h"``, which reads the sequence from its end to its beginning. Outputs of both
            are concatenated, ``(T, B, 2 H)`` for most cells. M. Schuster & K. Paliwal 1997,
            https://doi.org/10.1109/78.650093.
        dropout: Acts only in calls with ``noise=(seed, step)``, as in training: without ``noise``, as in
            evaluation, nothing is dropped. Probability that an element that one layer hands to the next is
            replaced by zero; the others are multiplied by ``1 / (1 - dropout)``, so that evaluation needs no
            correction. W. Zaremba et al. 2014, https://arxiv.org/abs/1409.2329.
        residual: Whether a layer's input is added to its output, ``y = x + layer(x)``, before dropout. Only
            layers whose input and output have the same size do so: all but the first, for most cells, and the
            first if I is the size of its output, where tokens are one-hot rows. Y. Wu et al. 2016,
            https://arxiv.org/abs/1609.08144.
        embedded: Whether the input is an embedding of tokens. If its size is H, the block of the first layer
            needs no projection.
        learned_state: Whether the initial states, in calls that give none, are parameters
            ``"l0.h.initial"``, the same for all rows. They start at zero. Discrete states have none.
        precision: Precision of the matrix products. ``"bf16"`` rounds their operands to bfloat16, which takes
            half the time and half the cache on AMD processors. Sums, parameters, states, elementwise
            operations and the optimizer remain float32. It needs an AMD processor with AVX512-BF16 (Zen 4 or
            later), or an Intel processor with AMX (Sapphire Rapids or later) and Linux. None is the precision
            of ``dtype``, which you may also name, as in ``"float32"``.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if an argument is invalid.
    """

    cells: tuple[Cell, ...]
    input_size: int
    hidden_size: int
    num_layers: int
    dtype: np.dtype[Any]
    recompute: Recompute
    bidirectional: bool
    dropout: float
    residual: bool
    learned_state: bool
    precision: str | None

    def __init__(
        self,
        cells: CellLike | Sequence[CellLike],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dtype: DTypeLike = "float32",
        recompute: int | str | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        learned_state: bool = False,
        block: BlockLike | None = None,
        embedded: bool = False,
        precision: str | None = None,
    ) -> None:
        checked_recompute = check_recompute(recompute)
        layer_cells = as_cells(resolve_cells(cells, block), num_layers)
        owner = cells_label(layer_cells)
        width = as_integer(hidden_size, f"{owner}: hidden_size", 1)
        features = as_integer(input_size, f"{owner}: input_size", 1)
        is_bidirectional = as_bool(bidirectional, f"{owner}: bidirectional")
        is_residual = as_bool(residual, f"{owner}: residual")
        if is_residual and any(cell.is_in_block() for cell in layer_cells):
            raise UsageError(
                f"{owner}: residual is True and the block adds its input already; leave out `residual`."
            )
        learns_states = as_bool(learned_state, f"{owner}: learned_state")
        for cell in layer_cells:
            if learns_states and (modifier := cell.restarting_modifier()):
                option = f"{modifier}_learned"
                advice = f", and set the option {option} of the cell" if option in cell.options else ""
                raise UsageError(
                    f"{owner}: learned_state is True, and the modifier {modifier!r} has initial states of "
                    f"its own; leave out `learned_state`{advice}."
                )
        checked_dtype = as_dtype(dtype)
        needs_projection = not (as_bool(embedded, f"{owner}: embedded") and features == width)
        vars(self).update(
            cells=set_stack_positions(layer_cells, needs_projection, is_bidirectional),
            input_size=features,
            hidden_size=width,
            num_layers=len(layer_cells),
            bidirectional=is_bidirectional,
            residual=is_residual,
            learned_state=learns_states,
            dropout=as_fraction(dropout, f"{owner}: dropout"),
            dtype=checked_dtype,
            precision=check_precision(precision, checked_dtype.name, owner),
            recompute=checked_recompute,
        )

    @cached_property
    def has_single_cell(self) -> bool:
        """Whether all layers have the same cell."""
        return all(cell == self.cells[0] for cell in self.cells)

    @cached_property
    def label(self) -> str:
        """Name of the layers in error messages: ``cell 'lstm'``, or ``cells 'gru', 'lstm'``."""
        return cells_label(self.cells)

    def metadata(self) -> dict[str, Any]:
        """Entries of a checkpoint's metadata, without ``input_size``, which its model has another name for.

        ``recompute`` changes no result and is left out.
        """
        cells = [
            {"name": cell.name, "options": dict(cell.options), "source": cell.source_digest()}
            for cell in self.cells
        ]
        return {
            "cell": cells[0] if self.has_single_cell else cells,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "dtype": self.dtype.name,
            **self._switched_on(),  # without the others, as in older files
        }

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], cells: Cell | Sequence[Cell], input_size: int
    ) -> StackConfig:
        """Make the config of :meth:`metadata`, whose cells have been looked up.

        Raises:
            KeyError: if an entry is missing.
            UsageError: if an entry is invalid.
        """
        options = {name: metadata[name] for name in LAYER_SWITCHES if name in metadata}
        sizes = input_size, metadata["hidden_size"], metadata["num_layers"]
        is_embedded = "embedding" in metadata
        return cls(cells, *sizes, dtype=metadata["dtype"], embedded=is_embedded, **options)

    def _switched_on(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in LAYER_SWITCHES if getattr(self, name)}

    def describe_cells(self) -> str:
        """Text of the cells as in a call."""
        shown = [repr(cell) for cell in self.cells]
        return shown[0] if len({*shown}) == 1 else f"[{', '.join(shown)}]"

    def describe(self) -> str:
        """Text of the arguments as in a call, without ``dtype``, ``recompute`` and options switched off."""
        sizes = {name: getattr(self, name) for name in ("input_size", "hidden_size", "num_layers")}
        return ", ".join(
            [self.describe_cells(), *(f"{k}={v!r}" for k, v in (sizes | self._switched_on()).items())]
        )


STACK_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(StackConfig).parameters.items()
    if name in StackOptions.__annotations__
}
"""Defaults of :class:`StackOptions`."""


def with_options(owner: str, options: type, defaults: Mapping[str, Any]) -> Callable[[Function], Function]:
    """Decorate a function with ``**options: Unpack[Options]``: list the options in its signature.

    An unknown keyword argument raises TypeError with the name of the function and the nearest argument.

    Args:
        owner: Name of the function in the message.
        options: The ``TypedDict`` of the options.
        defaults: Default of each option.
    """

    def decorate(function: Function) -> Function:
        own = inspect.signature(function)
        *parameters, _ = own.parameters.values()  # the last is **options
        for name, annotation in options.__annotations__.items():
            text = getattr(annotation, "__forward_arg__", annotation)
            parameters.append(
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=text
                )
            )
        signature = own.replace(parameters=parameters)
        names = [name for name in signature.parameters if name != "self"]
        is_positional = (each.kind is not each.KEYWORD_ONLY for each in own.parameters.values())
        positional = [name for name, given in zip(own.parameters, is_positional, strict=True) if given][:-1]
        has_self = "self" in positional

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if len(args) > len(positional):
                first, count = positional[has_self:], len(args) - has_self
                raise TypeError(
                    f"{owner} takes at most {counted(len(first), 'positional argument')} "
                    f"({', '.join(first)}); found {count}. Pass the others by name, for example "
                    f"{names[len(first)]}=VALUE."
                )
            for name, value in kwargs.items():
                if name not in names:
                    given = {**dict(zip(positional, args, strict=False)), **kwargs}
                    advice = _cell_option_advice(given.get("cell"), name, value, names)
                    advice = advice or did_you_mean(name, names)
                    advice = advice or f" Its arguments are {', '.join(names)}."
                    raise TypeError(f"{owner} got the unknown argument {name!r}.{advice}")
            return function(*args, **kwargs)

        vars(checked)["__signature__"] = signature
        checked.__doc__ = function.__doc__ or "For the arguments, see the class."
        return checked  # type: ignore[return-value]

    return decorate


def _cell_option_advice(cell: Any, name: str, value: Any, arguments: Sequence[str]) -> str:
    """Advice for an argument that is an option of the cells, or the nearest to one; else empty."""
    try:
        given = layer_names(cell) if isinstance(cell, str) else cell
        is_stack = isinstance(given, Sequence) and not (isinstance(cell, str) and len(given) == 1)
        given = given if isinstance(given, Sequence) else [given]
        layers = [] if cell is None else [resolve_cell(each) for each in given]
    except ZooError:
        return ""
    options = {option: None for layer in layers for option in layer.options}
    option = name if name in options else next(iter(near_names(name, [*arguments, *options], 1)), None)
    if option not in options:
        return ""
    assignment = f"{option}={short_repr(value)}"
    having = [option in layer.options for layer in layers]
    texts = [
        _with_option(each, layer, assignment if has_option else "")
        for each, layer, has_option in zip(given, layers, having, strict=True)
    ]
    owner, use = "the cell", texts[0]
    if is_stack:
        names = dict.fromkeys(repr(layer.name) for layer, has in zip(layers, having, strict=True) if has)
        shown = ", ".join([*texts[:4], *(["..."] if len(texts) > 4 else [])])
        owner, use = f"{' and '.join(names)} in the stack", f"cell=[{shown}]"
    if name in options:
        return f" It is an option of {owner}: give {use}."
    return f" Did you mean the option {option!r} of {owner}? Give {use}."


def _with_option(given: Any, cell: Cell, assignment: str) -> str:
    """The code of a cell with an option set, or as it was given."""
    if isinstance(given, str):
        return f"zoo.get_cell({given!r}, {assignment})" if assignment else repr(given)
    return f"{type(cell).__name__}({assignment})"


def with_advice(owner: str, advise: Callable[[str, Any], str]) -> Callable[[Function], Function]:
    """Decorate a function: an unknown keyword argument raises TypeError with advice.

    Args:
        owner: Name of the function in the message.
        advise: From the name of the argument and its value to a sentence that follows a space, or ``""``.
    """

    def decorate(function: Function) -> Function:
        names = [name for name in inspect.signature(function).parameters if name != "self"]

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name, value in kwargs.items():
                if name not in names:
                    advice = advise(name, value) or did_you_mean(name, names)
                    advice = advice or f" Its arguments are {', '.join(names)}."
                    raise TypeError(f"{owner} got the unknown argument {name!r}.{advice}")
            return function(*args, **kwargs)

        return checked  # type: ignore[return-value]

    return decorate


LAYER_SWITCHES = ("bidirectional", "dropout", "residual", "learned_state", "precision")
"""Options that a checkpoint contains if they are not at their defaults."""


def resolve_cells(cells: CellLike | Sequence[CellLike], block: BlockLike | None = None) -> Cell | list[Cell]:
    """Convert names, classes and cells to the cell of all layers, or to the list of the cell of each.

    Args:
        cells: One for all layers, or one for each.
        block: The block around every cell; None for none.
    """
    if isinstance(cells, Sequence) and not isinstance(cells, str):
        return [resolve_cell_in_block(cell, block) for cell in cells]
    return resolve_cell_in_block(cells, block)


def set_stack_positions(
    cells: Sequence[Cell], needs_projection: bool, bidirectional: bool
) -> tuple[Cell, ...]:
    """Cells whose blocks have their positions: the first projects its input, the last has the final norm.

    A block also projects its input if the layer below has no block, since its output may have another width,
    or if layers have two directions, whose outputs are concatenated.

    Args:
        cells: The cell of each layer.
        needs_projection: Whether the block of the first layer projects its input.
        bidirectional: Whether the layers have two directions.
    """
    below = [False, *(cell.is_in_block() and not bidirectional for cell in cells)]
    return tuple(
        place_in_stack(
            cell,
            is_first=needs_projection if index == 0 else not below[index],
            is_last=index == len(cells) - 1,
            num_layers=len(cells),
        )
        for index, cell in enumerate(cells)
    )

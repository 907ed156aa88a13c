"""The setup of a comparison in sentences: layers, lengths, learning rates, settings, machine and versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo.arguments import counted
from zoo.comparison.number_text import enumerate_texts
from zoo.comparison.plan import read_sizes
from zoo.comparison.specs import layers_of
from zoo.comparison.table_notes import Info
from zoo.training.config import REGULARISATION_SETTINGS, number_format

if TYPE_CHECKING:
    from zoo.comparison.results import Comparison


_BLOCKS = "in the block that the name of the cell shows, BLOCK(CELL)"
_LAYERS = {
    "Bare layers": (
        "without an embedding, a norm or a residual connection",
        "with an embedding of {}, without a norm or a residual connection",
    ),
    "Residual layers": (
        "with residual connections, without an embedding or a norm",
        "with residual connections and an embedding of {}, without a norm",
    ),
    "Layers in blocks": (f"without an embedding, {_BLOCKS}", f"with an embedding of {{}}, {_BLOCKS}"),
    "Bare layers and layers in blocks": (
        f"without an embedding, {_BLOCKS}, or else without a norm or a residual connection",
        f"with an embedding of {{}}, {_BLOCKS}, or else without a norm or a residual connection",
    ),
}
"""Kinds of layers, and the description of each, without and with an embedding."""


def _kind_of_layers(results: Comparison) -> str:
    parts = [results.parameter_parts(row.group) for row in results.summary]
    if not any(parts):  # counted if a cell has a block
        return "Residual layers" if results.section("plan")["settings"].get("residual") else "Bare layers"
    has_bare = any(not counts["block"] for counts in parts if counts)
    return "Bare layers and layers in blocks" if has_bare else "Layers in blocks"


def _describe_layers(kind: str, settings: Info) -> str:
    without, embedded = _LAYERS[kind]
    size = settings.get("embedding")  # plans of older versions lack it
    return without if size is None else embedded.format(size)


def _residual_exception(plan: Info) -> str:
    """Name the cells whose own name has the modifier residual; empty without one."""
    labels = [
        str(cell["label"])
        for cell in plan.get("cells", ())
        if any("residual" in layer.split("+")[1:] for layer in layers_of(cell.get("spec", "")))
    ]
    return f", except for the residual connections of {', '.join(labels)}" if labels else ""


def describe_setup(results: Comparison) -> Iterator[str]:
    """Describe settings, machine and versions in sentences."""
    plan, host = results.section("plan"), results.section("machine")
    kind = _kind_of_layers(results)
    yield f"{kind}, {_length(plan)}: {counted(plan['seeds'], 'seed')}, {_size(plan)}, {_rates(plan)}."
    settings = plan["settings"]
    is_bidirectional, learns_state = map(settings.get, ("bidirectional", "learned_state"))
    layers = counted(settings["layers"], "bidirectional layer" if is_bidirectional else "layer")
    learned = ", initial states learned" if learns_state else ""
    online = [f"gradients by {gradient}"] if (gradient := settings.get("gradient", "bptt")) != "bptt" else []
    base = settings.get("base_hidden")  # plans of older versions lack it
    width = [f"learning rates for {base:,} hidden units"] if base else []
    clip = f"gradients clipped to {settings['clip']:g}" if settings["clip"] else "gradients not clipped"
    rules = [
        f"{name.replace('param_groups', 'parameter groups')} {', '.join(settings[name])}"
        for name in REGULARISATION_SETTINGS
        if settings.get(name)  # plans of older versions lack them
    ]
    yield ", ".join(
        [
            f"{layers} {_describe_layers(kind, settings)}{_residual_exception(plan)}{learned}",
            number_format(settings),
            settings["optimizer"],
            *online,
            *width,
            *rules,
            f"{clip}.",
        ]
    )
    yield (
        f"{results.metadata['date']}: {host['processor']}, {host['processors']} processors, "
        f"{host['system']}; {_workers(results.metadata['jobs'])}."
    )
    yield ", ".join(f"{name} {number}" for name, number in results.section("versions").items()) + "."


def _size(plan: Info) -> str:
    sizes = read_sizes(plan["size"])
    numbers = enumerate_texts([f"{number:,}" for number in sorted(sizes.numbers)], "or")
    return f"about {numbers} parameters each" if sizes.kind == "params" else f"{numbers} hidden units each"


def _length(plan: Info) -> str:
    ((kind, number),) = plan["length"].items()
    return f"{number:,} steps" if kind == "steps" else f"as many steps as take {number:g} s"


def _rates(plan: Info) -> str:
    rates = ", ".join(f"{rate:g}" for rate in plan["rates"])
    if len(plan["rates"]) == 1:
        return f"learning rate {rates}"
    scope = "each cell, task and size" if len(read_sizes(plan["size"]).numbers) > 1 else "each cell and task"
    text = f"the learning rate of {scope} chosen among {rates} by a short run of another seed"
    if rounds := plan.get("sweep_rounds"):
        text += f", and in up to {counted(rounds, 'round')} by longer runs or among further rates"
    return text


def _workers(jobs: int | None) -> str:
    if jobs is None:
        return "another executor"
    return (
        f"{counted(jobs, 'process', 'processes')} at a time, of one thread each" if jobs else "in one process"
    )

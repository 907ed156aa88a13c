"""Resolve the specs of cells, stacks, tasks and the optimizer of a comparison, and label cells and tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zoo.arguments import real_path, short_repr
from zoo.base import Block, Cell, Component, Modifier, Optimizer, Task
from zoo.base.names import did_you_mean, with_article
from zoo.base.task import embedding_error, reads_tokens
from zoo.comparison.model_info import ModelInfo, resolve_model_info
from zoo.comparison.plan import MAX_LABEL, Plan, PlanEntry, is_label
from zoo.errors import UnknownNameError, UsageError
from zoo.registry import (
    foreign_plugins,
    is_stack,
    layer_names,
    load_cell_file,
    load_class_file,
    registry_of,
    resolve_task,
    split_at_commas,
    split_name,
    stack_label,
    stack_name,
)
from zoo.registry.composite_names import CellName
from zoo.registry.hookspecs import CLASSES_BY_KIND
from zoo.registry.plugin_files import is_file_spec
from zoo.registry.registry import LOCAL
from zoo.training.stream_gradient import check_task_gradient


class TaskInfo:
    """A task with its options, and values that are expensive to compute twice.

    Args:
        task: The task, which draws examples.

    Attributes:
        task: The task.
        kernel_key: Key of the kernels that a cell needs for this task.
        input_size: ``I``.
        output_size: ``V``.
        loss: The loss.
        digest: SHA-256 of the data.
        baseline: Score of the memoryless baseline.
    """

    def __init__(self, task: Task) -> None:
        self._reads_tokens = reads_tokens(task)
        inputs = "tokens" if self._reads_tokens else "numbers"
        model = "sequence model" if task.vocabulary is None else "language model"
        self.task, self.kernel_key = task, f"{inputs}, {task.loss}, {model}"
        self.input_size, self.output_size, self.loss = task.input_size, task.output_size, task.criterion
        self.digest, self.baseline = task.fingerprint(), float(task.baseline())

    def category_inputs(self, embedding: int | None) -> None:
        """None: an embedding has a row for each token.

        Raises:
            UsageError: if there is an embedding and the inputs of the task are features.
        """
        if embedding is not None and not self._reads_tokens:
            raise embedding_error(self.task, embedding)

    @property
    def bidirectional_error(self) -> str:
        """Reason why no bidirectional layer can learn the task; empty if one can."""
        if self.task.vocabulary is not None:
            return "predicts the next symbol"
        return "continues its sequences in the next batch" if self.task.batch(0, 1).continues else ""

    def check_gradient(self, name: str, batch: int) -> None:
        """Check that the batches of the task continue, if the gradient crosses batches.

        Raises:
            UsageError: if they do not.
        """
        check_task_gradient(name, self.task, batch)

    def metric_to_json(self) -> dict[str, Any]:
        """The metric as plain JSON."""
        return {
            "metric": self.task.metric,
            "higher_is_better": self.task.higher_is_better,
            "threshold": self.task.threshold,
            "baseline": self.baseline,
        }

    def to_json(self) -> dict[str, Any]:
        """The entry of ``results.json``."""
        return {
            "name": self.task.name,
            "options": dict(self.task.options),
            "summary": self.task.summary(),
            "threshold_source": self.task.threshold_source,
            **self.metric_to_json(),
        }


Options = Mapping[str, Mapping[str, Any]]

BARE = "bare"
"""The name of the block that adds nothing."""

LabelledSpecs = tuple[dict[str, str], dict[str, dict[str, Any]]]
"""Specs and chosen options by label."""


def label_specs(kind: str, components: Any) -> LabelledSpecs:
    """Parse the argument ``cells`` or ``tasks`` into specs by label.

    Args:
        kind: ``"cell"`` or ``"task"``.
        components: A text ``NAME``, ``FILE.py:Class`` or ``LABEL=NAME``, a class, or an instance; a sequence
            of these; or a mapping from labels to these. A sequence within a sequence or a mapping is a stack
            of cells, one for each layer.

    Raises:
        UsageError: if an item has another type, or a label is invalid or ambiguous.
        ZooError: if a file or its class is missing.
    """
    if isinstance(components, Mapping):
        pairs = list(components.items())
    else:
        several = isinstance(components, Sequence) and not isinstance(components, str)
        pairs = [_split_label(each) for each in (components if several else [components])]
    specs: dict[str, str] = {}
    options: dict[str, dict[str, Any]] = {}
    for label, component in pairs:
        spec, chosen = _spec_of(kind, component)
        if not label:
            label = _default_label(kind, spec)
            _check_notation(kind, spec, label)
        _check_label(kind, label)
        if label in specs:
            raise UsageError(
                f"compare: two {kind}s are called {label!r}; give one of them a label of its own, as in "
                f"other={spec}, or leave it out."
            )
        specs[label] = spec
        if chosen is not None:
            options[label] = chosen
    return specs, options


def in_blocks(labelled: LabelledSpecs, blocks: Any) -> LabelledSpecs:
    """Put cells into blocks: every cell into every block, ``bare`` for none.

    Args:
        labelled: Specs and chosen options of cells by label.
        blocks: A name, or a sequence of names or ``FILE.py:Class``; None or an empty one for no block.

    Raises:
        UsageError: if a block is not a string, or two cells have the same name in their blocks.
        ZooError: if a file or its class is missing.
    """
    names = [blocks] if isinstance(blocks, str) else list(blocks or ())
    if not names:
        return labelled
    specs: dict[str, str] = {}
    options: dict[str, dict[str, Any]] = {}
    for label, spec in labelled[0].items():
        for name in names:
            if not isinstance(name, str):
                raise UsageError(f"compare: block is {short_repr(name)}; expected the name of a block.")
            block = load_class_file(name, Block).name if is_file_spec(name) else name
            new = label if block == BARE else f"{block}({label})"
            if new in specs:
                raise UsageError(
                    f"compare: `cells` and `block` give the cell {new!r} twice; leave out one of them, or "
                    f"give a cell a label, as in other={spec}."
                )
            specs[new] = spec if block == BARE else _map_layers(spec, partial(_in_block, name))
            options |= {new: labelled[1][label]} if label in labelled[1] else {}
    return specs, options


def _in_block(block: str, layer: str) -> str:
    return f"{block}({layer})"


def layers_of(spec: str) -> list[str]:
    """The names of the layers of a stack, or the name of a cell."""
    return layer_names(spec) if is_stack(spec) else [spec]


def _map_layers(spec: str, change: Callable[[str], str]) -> str:
    """Change the name of a cell, or of each layer of a stack."""
    if not is_stack(spec):
        return change(spec)
    names = layer_names(spec)
    changed = {name: change(name) for name in dict.fromkeys(names)}
    return stack_name([changed[name] for name in names])


def _split_label(component: Any) -> tuple[str, Any]:
    """Split ``LABEL=NAME``; the label is empty if there is none."""
    label, equals, name = component.partition("=") if isinstance(component, str) else ("", "", "")
    return (label.strip(), name.strip()) if equals else ("", component)


def _spec_of(kind: str, component: Any) -> tuple[str, dict[str, Any] | None]:
    """The spec of a component, and its options if it is an instance."""
    if isinstance(component, str):
        if kind == "cell":
            _check_is_one_item(component)
        is_text_of_stack = kind == "cell" and is_stack(component.strip())
        return (_as_stack(component) if is_text_of_stack else component.strip()), None
    if kind == "cell" and isinstance(component, Sequence) and component:
        return _stack_of(component)
    base = CLASSES_BY_KIND[kind]
    if isinstance(component, base):
        return component.name, dict(component.options)
    if isinstance(component, type) and issubclass(component, base) and "name" in vars(component):
        return component.name, None
    raise UsageError(
        f"compare: {short_repr(component)} is not {with_article(kind)}; give a name, a class derived from "
        f"zoo.{base.__name__}, or an instance of one."
    )


def classes_of(components: Any) -> Iterator[type[Component]]:
    """The classes in the argument ``cells`` or ``tasks``, also of instances and in stacks."""
    if isinstance(components, Component):
        yield type(components)
    elif isinstance(components, type):
        yield components
    elif isinstance(components, Mapping):
        yield from classes_of(list(components.values()))
    elif isinstance(components, Sequence) and not isinstance(components, str):
        for each in components:
            yield from classes_of(each)


def _check_is_one_item(text: str) -> None:
    """Check that a text has no commas outside parentheses; raises `UsageError`."""
    has_pairs = text.count("(") == text.count(")")
    if has_pairs and not is_file_spec(text) and len(split_at_commas(text)) > 1:
        raise UsageError(
            f"compare: {short_repr(text)} has several cells; write ({text}) for a stack of layers, or give "
            f"each cell as an item of a list."
        )


def _as_stack(text: str) -> str:
    """The name of a stack in its shortest form."""
    return stack_name(layer_names(text.strip()))


def _stack_of(components: Sequence[Any]) -> tuple[str, dict[str, Any] | None]:
    """The spec of a stack, and the options of the layers that are instances."""
    layers: list[str] = []
    options: dict[str, Any] = {}
    for component in components:
        if isinstance(component, Sequence) and not isinstance(component, str):
            raise UsageError(f"compare: {component!r} is not a layer of a stack; give a cell.")
        spec, chosen = _spec_of("cell", component)
        options |= {f"l{len(layers)}.{name}": value for name, value in (chosen or {}).items()}
        layers += layer_names(spec)
    return stack_name(layers), options or None


def _default_label(kind: str, spec: str) -> str:
    if kind == "cell" and is_stack(spec):
        return stack_label(_map_layers(spec, partial(_default_label, kind)))
    if not is_file_spec(spec):
        return spec
    return load_cell_file(spec).name if kind == "cell" else load_class_file(spec, Task).name


def has_default_label(label: str, entry: PlanEntry) -> bool:
    """Whether the label of an entry need not be given."""
    return label == (stack_label(entry.name) if is_stack(entry.name) else entry.name)


def _check_notation(kind: str, spec: str, label: str) -> None:
    """Check the notation of a component without a label of its own; raises `UsageError`."""
    if is_label(label) or len(label) > MAX_LABEL:
        return
    if kind != "cell":
        raise UsageError(
            f"compare: {short_repr(spec)} is not the name of {with_article(kind)}; `zoo tasks` lists the "
            f"tasks."
        )
    raise UsageError(
        f"compare: {short_repr(spec)} is not a cell or a stack; expected CELL, BLOCK(CELL), or for a stack "
        f"(CELL,CELL) or 2*CELL, without spaces and with a closing parenthesis for each opening one."
    )


def _check_label(kind: str, label: str) -> None:
    if len(label) > MAX_LABEL:
        raise UsageError(
            f"compare: the label {short_repr(label)} of {with_article(kind)} is longer than {MAX_LABEL} "
            f"characters; give a shorter one, as in my=NAME."
        )
    if not is_label(label):
        raise UsageError(
            f"compare: {label!r} cannot name {with_article(kind)}; use letters, digits and _ . + - ( ), and "
            f"begin with a letter or digit."
        )


def find_cell(spec: str, options: Mapping[str, Any]) -> tuple[PlanEntry, ModelInfo]:
    """Resolve a cell or a stack and make its plan entry."""
    cell = resolve_model_info(spec, options)
    return PlanEntry(cell.name, cell.options, cell.digest, _map_parts(spec, absolute_spec)), cell


def labels_of_spec(spec: str, entries: Mapping[str, PlanEntry]) -> list[str]:
    """The labels of the cells with a specification, for example ``FILE.py:Class``."""
    try:
        absolute = _map_parts(spec, absolute_spec)
    except (UsageError, ValueError):  # not the notation of a cell, or not a path
        return []
    return [label for label, entry in entries.items() if entry.spec == absolute]


def find_task(spec: str, options: Mapping[str, Any]) -> tuple[PlanEntry, TaskInfo]:
    """Resolve a task and make its plan entry."""
    info = TaskInfo(resolve_task(spec, **options))
    return PlanEntry(info.task.name, dict(info.task.options), info.digest, absolute_spec(spec)), info


def find_optimizer(settings: Mapping[str, Any], spec: str) -> Optimizer:
    """The optimizer of all runs.

    Args:
        settings: The settings of the plan.
        spec: ``FILE.py:Class`` of the optimizer; empty for a registered one.

    Raises:
        UnknownNameError: if it is not registered.
        UsageError: if an option is invalid.
    """
    name, options = settings["optimizer"], settings["optimizer_options"]
    cls = load_class_file(spec, Optimizer) if spec else registry_of(Optimizer).cls(name)
    return cls(**options)


def extract_optimizer_file(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The settings with the name of the optimizer, and its ``FILE.py:Class``, empty for a registered one."""
    spec = settings.get("optimizer")
    if not isinstance(spec, str) or not is_file_spec(spec):
        return dict(settings), ""
    name = load_class_file(spec, Optimizer).name
    return {**settings, "optimizer": name}, absolute_spec(spec)


def absolute_spec(spec: str) -> str:
    """Make the path of ``FILE.py:Class`` absolute, for processes in other directories; a name stays."""
    return _map_path(spec, lambda path: str(real_path(str(path))))


def spec_for_commands(spec: str) -> str:
    """The name of a component, or ``FILE.py:Class``, relative to the working directory if it is below it."""
    return _map_parts(spec, lambda part: _map_path(part, path_for_commands))


def _map_path(spec: str, change: Callable[[Path], str]) -> str:
    path, _, name = spec.rpartition(":")
    return f"{change(Path(path))}:{name}" if is_file_spec(spec) else spec


def _map_parts(spec: str, change: Callable[[str], str]) -> str:
    """Change each part of the cell of each layer: the block, the cell and the modifiers."""

    def change_layer(name: str) -> str:
        block, cell, modifiers = split_name(name)
        return str(CellName(change(block), change(cell), tuple(map(change, modifiers))))

    return _map_layers(spec, change_layer)


def path_for_commands(path: Path) -> str:
    """A path, relative to the working directory if it is below it."""
    if not path.is_relative_to(Path.cwd()):
        return str(path)
    relative = str(path.relative_to(Path.cwd()))
    return f"./{relative}" if "+" in relative else relative  # a plus sign would begin a modifier


def missing_component_error(kind: str, label: str, name: str) -> UnknownNameError:
    """Make the error for a component of a stored plan that is not registered."""
    called = "" if label == name else f", labelled {label!r}"
    setting = kind if kind == "optimizer" else f"{kind}s"
    return UnknownNameError(
        f"compare: the comparison has the {kind} {name!r}{called}, which is not registered here; "
        f"name its file again, `{setting}=FILE.py:Class`, give its class again in Python, or install or load "
        f"its plugin."
    )


def check_labels(options: Options, cells: Mapping[str, Any], tasks: Mapping[str, Any]) -> None:
    """Check the labels of cells, tasks and options.

    Raises:
        UsageError: if a label is ambiguous or unknown, or cells or tasks are missing.
    """
    if not cells or not tasks:
        lacking = "" if cells else "a cell (`cells`)"
        lacking += "" if tasks else f"{' and ' * bool(lacking)}a task (`tasks`) or a data set (`data`)"
        raise UsageError(f"compare: there is nothing to compare; name {lacking}.")
    if both := sorted(set(cells) & set(tasks)):
        raise UsageError(
            f"compare: {both[0]!r} is a cell and a task; give one of them a label, as in my={both[0]}."
        )
    for label in options:
        if label not in cells and label not in tasks:
            known = [*cells, *tasks]
            raise UsageError(
                f"compare: options are given for {label!r}, which is none of {', '.join(known)}."
                f"{did_you_mean(label, known)}"
            )


def plugin_files() -> list[str]:
    """Files of loaded plugins, which other processes must load too."""
    return [
        str(real_path(record.name))
        for record in foreign_plugins()
        if not record.distribution and record.module
    ]


def check_importable_by_workers(plan: Plan) -> None:
    """Check that worker processes can import all components.

    Raises:
        UsageError: naming the first that exists in this program alone.
    """
    names: list[tuple[type[Component], str]] = [
        (Optimizer, plan.optimizer_spec or plan.settings["optimizer"])
    ]
    layers = (name for cell in plan.cells.values() for name in layers_of(cell.spec))
    for block, base, modifiers in map(split_name, layers):
        names += [(Cell, base), *((Modifier, name) for name in modifiers)]
        names += [(Block, block)] if block else []
    names += [(Task, task.spec) for task in plan.tasks.values() if not task.is_data]
    for kind, name in names:
        if not is_file_spec(name) and registry_of(kind).source(name) == LOCAL:
            raise UsageError(
                f"compare: {kind.kind} {name!r} exists in this program alone, and the workers are other "
                f"processes; do without them, jobs=0, or put it into a file (FILE.py:Class) or a plugin."
            )

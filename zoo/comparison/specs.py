"""What a comparison has to know of its tasks.

The cells and tasks of a comparison: found by what they are called, under labels of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from zoo.arguments import real_path
from zoo.base import Cell, Modifier, Task
from zoo.base import Component as Registered
from zoo.base.names import MODIFIER_SEPARATOR, did_you_mean
from zoo.comparison.plan import Member, is_label
from zoo.errors import UnknownNameError, UsageError
from zoo.registry import load_cell_file, load_class_file, plugins, registry_of, resolve_cell, resolve_task
from zoo.registry.plugin_files import is_file_spec
from zoo.registry.registry import LOCAL


@dataclass(frozen=True)
class Problem:
    """A task with its options, and what is asked of it more than once.

    Args:
        task: The task.

    Attributes:
        kernels: Tasks for which a cell needs the same kernels have the same.
        source: SHA-256 of its data.
        baseline: Its score without memory.
    """

    task: Task
    kernels: str = field(init=False)
    source: str = field(init=False)
    baseline: float = field(init=False)

    def __post_init__(self) -> None:
        """Ask the task: it draws examples for that, which is not done twice."""
        inputs = "tokens" if self.task.batch(0, 1).inputs.ndim == 2 else "numbers"
        model = "sequence model" if self.task.vocabulary is None else "language model"
        facts = {
            "kernels": f"{inputs}, {self.task.loss}, {model}",
            "source": self.task.fingerprint(),
            "baseline": float(self.task.baseline()),
        }
        vars(self).update(facts)

    def goal(self) -> dict[str, Any]:
        """What is measured, as plain JSON."""
        return {
            "metric": self.task.metric,
            "higher_is_better": self.task.higher_is_better,
            "threshold": self.task.threshold,
            "baseline": self.baseline,
        }


Options = Mapping[str, Mapping[str, Any]]

Named = tuple[dict[str, str], dict[str, dict[str, Any]]]

"""What to find members by, by label, and the options that were chosen with them."""

R = TypeVar("R", bound=Registered)


def by_label(kind: str, given: Any) -> Named:
    """Members by label, of all forms in which they may be given.

    Args:
        kind: ``"cell"`` or ``"task"``.
        given: Texts ``NAME``, ``FILE.py:Class`` or ``LABEL=NAME``, classes, or members with their options
            chosen, as a sequence; or such things by label; or one of them.

    Raises:
        UsageError: if something is none of those, or a label is no label or stands for two things.
        ZooError: if a file or its class is not there.
    """
    pairs = given.items() if isinstance(given, Mapping) else [_labelled(each) for each in _listed(given)]
    specs: dict[str, str] = {}
    options: dict[str, dict[str, Any]] = {}
    for label, member in pairs:
        spec, chosen = _spec(kind, member)
        label = label or _own_label(kind, spec)
        _check_label(kind, label)
        if specs.setdefault(label, spec) != spec or (label in options and options[label] != chosen):
            raise UsageError(
                f"compare: two {kind}s are called {label!r}; give one of them a label of its own, as in "
                f"other={spec}."
            )
        if chosen is not None:
            options[label] = chosen
    return specs, options


def _listed(given: Any) -> Sequence[Any]:
    return given if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def _labelled(given: Any) -> tuple[str, Any]:
    """The label before an equals sign, if there is one."""
    label, equals, name = given.partition("=") if isinstance(given, str) else ("", "", given)
    return (label.strip(), name.strip()) if equals else ("", given)


def _spec(kind: str, given: Any) -> tuple[str, dict[str, Any] | None]:
    """What another process finds a member by, and its options if it has chosen."""
    if isinstance(given, str):
        return given.strip(), None
    if isinstance(given, Registered):
        return given.name, dict(given.options)
    if isinstance(given, type) and issubclass(given, Registered) and "name" in vars(given):
        return given.name, None
    raise UsageError(
        f"compare: {given!r} is no {kind}; give a name, a registered class, or one of its instances."
    )


def _own_label(kind: str, spec: str) -> str:
    if not is_file_spec(spec):
        return spec
    return load_cell_file(spec).name if kind == "cell" else load_class_file(spec, Task).name


def _check_label(kind: str, label: str) -> None:
    """Refuse what could not name a directory."""
    if not is_label(label):
        raise UsageError(
            f"compare: {label!r} cannot name a {kind}; use letters, digits and _ . + -, and begin with a "
            f"letter or digit."
        )


def find_cell(spec: str, options: Mapping[str, Any]) -> tuple[Member, Cell]:
    """A cell, and what a plan says of it."""
    cell = resolve_cell(spec, **options)
    return Member(cell.name, dict(cell.options), cell.source_digest(), _absolute_spec(spec)), cell


def find_task(spec: str, options: Mapping[str, Any]) -> tuple[Member, Problem]:
    """A task, and what a plan says of it."""
    problem = Problem(resolve_task(spec, **options))
    return Member(
        problem.task.name, dict(problem.task.options), problem.source, _absolute_spec(spec)
    ), problem


def _absolute_spec(spec: str) -> str:
    """The spec with an absolute path, for processes in other directories."""
    path, _, name = spec.rpartition(":")
    return f"{real_path(path)}:{name}" if is_file_spec(spec) else spec


def again(kind: str, label: str, stored: Member) -> UnknownNameError:
    """The error for a member of a stored plan that is registered nowhere."""
    return UnknownNameError(
        f"compare: the {kind} {label!r} of the comparison is {stored.name!r}, which is not registered here; "
        f"name its file again, --{kind}s FILE.py:Class, or its plugin's, --plugin FILE.py."
    )


def check_labels(options: Options, cells: Mapping[str, Any], tasks: Mapping[str, Any]) -> None:
    """Refuse labels that are there twice, and options of what is not there.

    Raises:
        UsageError: if there are any, or nothing to compare.
    """
    if not cells or not tasks:
        raise UsageError("compare: there is nothing to compare; name at least one cell and one task.")
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
    """The plugins that were loaded from files, which other processes have to load too."""
    return [str(real_path(record.name)) for record in plugins() if not record.distribution and record.module]


def check_found_elsewhere(cells: Iterable[Member], tasks: Iterable[Member]) -> None:
    """Refuse what only this program knows: other processes would not find it.

    Raises:
        UsageError: naming the first.
    """
    for cell in cells:
        if not is_file_spec(cell.spec):
            base, *modifiers = cell.spec.split(MODIFIER_SEPARATOR)
            _check_found(Cell, base)
            for name in modifiers:
                _check_found(Modifier, name)
    for task in tasks:
        if not is_file_spec(task.spec):
            _check_found(Task, task.spec)


def _check_found(contract: type[R], name: str) -> None:
    registry = registry_of(contract)
    if registry.source(name) == LOCAL:
        raise UsageError(
            f"compare: {contract.kind} {name!r} is registered by this program alone, and the workers are "
            f"other processes; put it into a plugin or a file (FILE.py:Class), or do without them, jobs=0."
        )

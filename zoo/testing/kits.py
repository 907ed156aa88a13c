"""The kits, for cells, optimizers, samplers and tasks: who is checked, and by which laws."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from zoo.contracts import Cell, Member, Optimizer, Sampler, Task
from zoo.contracts.names import JOIN
from zoo.errors import UsageError
from zoo.registry import load_class_file, registry_of, resolve_cell
from zoo.registry.files import names_file
from zoo.testing.extra import need
from zoo.testing.report import Check


@dataclass(frozen=True)
class Kit:
    """The laws of one kind of member.

    Args:
        contract: What its members derive from.
        home: Module that holds the laws; it is imported when they are asked for, since they need the testing
            extra.
        table: Name of the list in that module.
    """

    contract: type[Member]
    home: str
    table: str

    @property
    def kind(self) -> str:
        """``cell``, ``optimizer``, ``sampler`` or ``task``."""
        return self.contract.kind

    def checks(self) -> tuple[Check, ...]:
        """The check functions.

        Raises:
            UsageError: if Hypothesis is not installed.
        """
        need("hypothesis")
        return tuple(getattr(importlib.import_module(self.home), self.table))

    def names(self) -> list[str]:
        """Names of all registered members, third parties' included."""
        return registry_of(self.contract).list()

    def resolve(self, member: Any) -> Member:
        """The member that a name, ``"FILE.py:Class"``, a class or an instance stands for.

        Raises:
            UnknownNameError: if no member has the name.
            UsageError: if it is nothing of this kind.
        """
        if self.contract is Cell:
            return resolve_cell(member)
        if isinstance(member, str):
            cls = load_class_file(member, self.contract) if names_file(member) else None
            return cls() if cls else registry_of(self.contract).get(member)
        if isinstance(member, type) and issubclass(member, self.contract):
            return member()
        if isinstance(member, self.contract):
            return member
        raise UsageError(f"{member!r} is no {self.kind}; give a registered name, a class or an instance.")


CELLS = Kit(Cell, "zoo.testing.laws", "CELL_CHECKS")
OPTIMIZERS = Kit(Optimizer, "zoo.testing.optimizers", "OPTIMIZER_CHECKS")
SAMPLERS = Kit(Sampler, "zoo.testing.samplers", "SAMPLER_CHECKS")
TASKS = Kit(Task, "zoo.testing.tasks", "TASK_CHECKS")
KITS = {kit.kind: kit for kit in (CELLS, OPTIMIZERS, SAMPLERS, TASKS)}


def parse_spec(spec: str) -> tuple[Kit, str]:
    """Kit and member of ``vanilla``, ``path/to/file.py:MyClass``, ``optimizer:adam`` or ``task:copying``.

    Raises:
        UsageError: if a class in a file is of a kind that has no laws, or is not there.
    """
    kind, colon, name = spec.partition(":")
    if colon and kind in KITS:
        return KITS[kind], name
    if not names_file(spec) or JOIN in spec.rpartition(":")[2]:
        return CELLS, spec
    cls = load_class_file(spec, Member)
    if cls.kind not in KITS:
        raise UsageError(f"{cls.label()} has no laws of its own; those are of: {', '.join(KITS)}.")
    return KITS[cls.kind], spec

"""The registry of losses, which are values and not classes."""

from __future__ import annotations

import fnmatch
from typing import Any, cast

import zoo
from zoo.arguments import short_repr
from zoo.base.loss import REGISTERED_LOSSES, Loss, loss_table
from zoo.errors import DefinitionError, UsageError
from zoo.installation import DISTRIBUTION
from zoo.registry.registry import LOCAL, Entry, Names, Registry, Source, check_pattern


class LossRegistry(Registry[Any]):
    """The registered losses, in addition to the built-in ones.

    A task may name a loss that its own file registers, while the class is defined. The copy of the registry
    on which a plugin loads therefore publishes its losses at once, and the loader publishes the original
    again if the plugin fails.
    """

    def register(self, component: Any, *, override: bool = False, source: Source = LOCAL) -> Any:
        """Add a loss under its name.

        Args:
            component: The loss; registering an equal one again has no effect.
            override: Whether it may replace another loss of that name.
            source: The source to record.

        Raises:
            DefinitionError: if it is not a loss.
            UsageError: if the name is taken.
        """
        if not isinstance(component, Loss):
            raise DefinitionError(f"register a loss: found {short_repr(component)}; expected a zoo.Loss.")
        taken = loss_table().get(component.name)
        if taken is not None and taken != component and not override:
            holder = self._entries[component.name].source if component.name in self._entries else "zoo"
            remedy = ", or override=True" if source == LOCAL else ""
            raise UsageError(
                f"loss {component.name!r} is taken: {holder} registered it; choose another name{remedy}."
            )
        self._entries = {**self._entries, component.name: Entry(cast(Any, component), source)}
        self.publish()
        return component

    def list(self, pattern: str = "*") -> Names:
        """Sorted names that match a shell pattern, those of built-in losses included."""
        return sorted(name for name in loss_table() if fnmatch.fnmatchcase(name, check_pattern(pattern)))

    def source(self, name: str) -> Source:
        """The source of a loss; zoo for a built-in one."""
        entry = self._entries.get(name)
        return Source("", DISTRIBUTION, zoo.__version__) if entry is None else entry.source

    def commit(self, fork: Registry[Any]) -> None:
        """Add all losses of a copy, in one transaction."""
        super().commit(fork)
        self.publish()

    def clear(self) -> None:
        """Remove all but the built-in losses."""
        super().clear()
        self.publish()

    def publish(self) -> None:
        """Make these losses the table that ``loss_table`` returns."""
        REGISTERED_LOSSES.update({name: cast(Loss, entry.cls) for name, entry in self._entries.items()})
        for name in REGISTERED_LOSSES.keys() - self._entries.keys():
            del REGISTERED_LOSSES[name]

"""A registry: the members of one kind, by name, and where each came from."""

from __future__ import annotations

import difflib
import fnmatch
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from zoo.arguments import short_repr
from zoo.base import Component
from zoo.base.card import TEMPLATE
from zoo.base.names import snake_case
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.registry.hookspecs import hook_name
from zoo.run_module import module_label

M = TypeVar("M", bound=Component)
Names = list[str]


@dataclass(frozen=True)
class Source:
    """Who registered a member: a plugin of a distribution, a file, or, if empty, the running program."""

    plugin: str = ""
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        if not self.distribution:
            return self.plugin or "the running program"
        return f"{self.distribution} {self.version} (entry point {self.plugin!r})"


LOCAL = Source()
_MAX_LISTED = 12  # so many names an error message names in full


@dataclass(frozen=True)
class _Entry(Generic[M]):
    cls: type[M]
    source: Source


class Registry(Generic[M]):
    """The registered members of one kind.

    Args:
        contract: What every member derives from: ``Cell``, ``Optimizer`` or ``Sampler``.
        hint: Asked for one more sentence when a name is unknown.
    """

    def __init__(self, contract: type[M], hint: Callable[[], str] = lambda: "") -> None:
        self.contract = contract
        self.kind = contract.kind
        self._hint = hint
        # Replaced as a whole, never changed: others may be reading it, and forks share it.
        self._entries: dict[str, _Entry[M]] = {}

    def register(self, cls: type[M], *, override: bool = False, source: Source = LOCAL) -> type[M]:
        """Add a class under its name.

        Args:
            cls: The class; registering it once more from the same source changes nothing.
            override: Whether it may replace another class of that name.
            source: Who registers it.

        Returns:
            The class, so that this is a decorator.

        Raises:
            DefinitionError: if ``cls`` is no class of this kind, or one that only others derive from, or an
                installed plugin registers it without a reference on its card.
            UsageError: if the name is taken, naming both sources.
        """
        check_component(cls, self.contract)
        if source.distribution:
            _check_published(cls)
        taken = self._entries.get(cls.name)
        if taken == _Entry(cls, source):
            return cls
        if taken is not None and not override:
            raise UsageError(self._taken(cls, source, taken.source))
        self._entries = {**self._entries, cls.name: _Entry(cls, source)}
        return cls

    def get(self, name: str, /, **options: Any) -> M:
        """A member with its options chosen.

        Raises:
            UnknownNameError: if no member has the name.
            UsageError: for an unknown option or a value that is not allowed.
        """
        return self.cls(name)(**options)

    def cls(self, name: str) -> type[M]:
        """The class registered under a name.

        Raises:
            UnknownNameError: with the nearest names, and how to list all.
            UsageError: if ``name`` is no string.
        """
        if not isinstance(name, str):
            raise UsageError(
                f"{short_repr(name)} is not a name; give the name of a registered {self.kind} as a string."
            )
        if name not in self._entries:
            raise UnknownNameError(self._unknown(name))
        return self._entries[name].cls

    def source(self, name: str) -> Source:
        """Who registered a name.

        Raises:
            UnknownNameError: if nobody did.
        """
        self.cls(name)
        return self._entries[name].source

    def list(self, pattern: str = "*") -> Names:
        """Sorted names that match a shell pattern, alone (``*lstm``) or as ``family/name`` (``gated/*``).

        Raises:
            UsageError: if it is no string.
        """
        if not isinstance(pattern, str):
            raise UsageError(f"pattern is {short_repr(pattern)}; expected a string, as in '*lstm'.")
        return sorted(
            name
            for name, entry in self._entries.items()
            if any(fnmatch.fnmatchcase(text, pattern) for text in (name, f"{entry.cls.family}/{name}"))
        )

    def names_from(self, source: Source) -> tuple[str, ...]:
        """The names that one source registered, sorted."""
        return tuple(sorted(name for name, entry in self._entries.items() if entry.source == source))

    def fork(self) -> Registry[M]:
        """A copy on which a plugin can be tried."""
        copy = Registry(self.contract, self._hint)
        copy._entries = self._entries
        return copy

    def commit(self, fork: Registry[M]) -> None:
        """Take over everything a fork holds, in one step."""
        self._entries = self._entries | fork._entries

    def clear(self) -> None:
        """Forget everything."""
        self._entries = {}

    def _taken(self, cls: type[M], source: Source, holder: Source) -> str:
        remedy = ", or pass override=True to replace it" if source == LOCAL else ""
        return (
            f"{self.kind} name {cls.name!r} is taken: {holder} registered it, and {source} registers "
            f"{cls.__qualname__} ({module_label(cls.__module__)}) under the same; choose another "
            f"name{remedy}."
        )

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(snake_case(name).replace("-", "_"), self._entries, n=3, cutoff=0.6)
        meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        return f"no {self.kind} is called {name!r}.{meant} {self._listing()}{self._hint()}"

    def _listing(self) -> str:
        if len(self._entries) > _MAX_LISTED:
            return f"zoo.list_{self.kind}s() lists all {len(self._entries)}, as does `zoo plugins`."
        return f"zoo.list_{self.kind}s() lists all: {', '.join(self.list()) or 'there is none'}."


def _check_published(cls: type[Component]) -> None:
    """Refuse a class without a reference: what an installed plugin registers is published."""
    if not cls.card.published:
        raise DefinitionError(
            f"{cls.error_name()}: the card names no authors, year and url, and what a plugin publishes needs "
            f"a reference; add `card = {TEMPLATE}` so that people know where it comes from."
        )


def check_component(cls: object, contract: type[Component]) -> None:
    """Refuse what cannot be registered as a member of a contract.

    Raises:
        DefinitionError: saying what it is instead and what to do.
    """
    kind, base = contract.kind, f"zoo.{contract.__name__}"
    if isinstance(cls, contract):
        raise DefinitionError(f"{cls!r} is an instance; register the class {type(cls).__name__} itself.")
    if not inspect.isclass(cls):
        raise DefinitionError(
            f"{short_repr(cls)} is not a class; what is registered as {kind} is a class derived from {base}."
        )
    if not issubclass(cls, Component):
        raise DefinitionError(
            f"{cls.__qualname__} ({module_label(cls.__module__)}) is no {kind}; derive it from {base}."
        )
    if not issubclass(cls, contract):
        raise DefinitionError(
            f"{cls.error_name()} is no {kind}; hand it to zoo.register_{cls.kind} or, in a plugin, "
            f"{hook_name(cls)}."
        )
    if "name" not in vars(cls):
        raise DefinitionError(
            f"{cls.error_name()} is abstract: others derive from it; register one of those."
        )

"""Registries: the components of one kind by name, with their sources, and the losses, which are values."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import zoo
from zoo.arguments import short_repr
from zoo.base import Component
from zoo.base.card import TEMPLATE
from zoo.base.loss import REGISTERED_LOSSES, Loss, loss_table
from zoo.base.names import did_you_mean_component, with_article
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.installation import DISTRIBUTION
from zoo.registry.hookspecs import hook_name, plural
from zoo.run_module import module_label

M = TypeVar("M", bound=Component)
Names = list[str]


@dataclass(frozen=True)
class Source:
    """The source of a component: a plugin of a distribution, a file, or, if empty, the running program."""

    plugin: str = ""
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        if not self.distribution:
            return self.plugin or "the running program"
        point = f" (entry point {self.plugin!r})" if self.plugin else ""  # a built-in loss has none
        return f"{self.distribution} {self.version}{point}"


LOCAL = Source()
_MAX_LISTED = 12  # names in an error message


class Entry(Generic[M]):
    """A component and its source.

    Args:
        source: The source.
        load: Returns the component when it is first needed, or None if its plugin fails.
    """

    def __init__(self, source: Source, load: Callable[[], type[M] | None]) -> None:
        self.source = source
        self._load = load
        self._is_loaded, self._cls = False, cast("type[M] | None", None)

    @property
    def cls(self) -> type[M] | None:
        """The component; None if its plugin failed."""
        # Not a cached_property, whose lock Python 3.10 and 3.11 share among all entries: the lock of the
        # loader would be taken after it here, and before it by a thread that registers.
        if not self._is_loaded:
            self._cls, self._is_loaded = self._load(), True
        return self._cls

    @property
    def has_failed(self) -> bool:
        """Whether its plugin is known to have failed."""
        return self._is_loaded and self._cls is None


class Registry(Generic[M]):
    """The registered components of one kind.

    Args:
        base: Base class of every component: ``Cell``, ``Optimizer`` and so on.
        plugin_note: Returns a sentence on plugins that are not loaded, after a space, for the error of an
            unknown name; empty if all are loaded.
    """

    def __init__(self, base: type[M], plugin_note: Callable[[], str] = lambda: "") -> None:
        self.base = base
        self.kind = base.kind
        self.plugin_note = plugin_note
        # Replaced, never changed: other threads may read it, and forks share it.
        self._entries: dict[str, Entry[M]] = {}

    def register(self, cls: type[M], *, override: bool = False, source: Source = LOCAL) -> type[M]:
        """Add a class under its name.

        Args:
            cls: The class; registering it again from the same source has no effect.
            override: Whether it may replace another class of that name.
            source: The source to record.

        Returns:
            The class, for use as a decorator.

        Raises:
            DefinitionError: if ``cls`` is not a class of this kind or is abstract, or if the class of an
                installed plugin has no reference on its card.
            UsageError: if the name is taken, naming both sources.
        """
        check_component(cls, self.base)
        if source.distribution:
            _check_published(cls)
        taken = self._entry(cls.name)
        if taken is not None and (taken.cls, taken.source) == (cls, source):
            return cls
        if taken is not None and not override:
            described = f"{cls.__qualname__} ({module_label(cls.__module__)})"
            raise UsageError(self._taken(cls.name, described, source, taken.source))
        self.register_later(cls.name, source, lambda: cls)
        return cls

    def register_later(self, name: str, source: Source, load: Callable[[], type[M] | None]) -> None:
        """Add a component that is loaded when it is first needed.

        Args:
            name: Its name.
            source: The source to record.
            load: Returns the component, or None if its plugin fails. The name is unknown then.
        """
        self._entries = {**self._entries, name: Entry(source, load)}

    @contextmanager
    def given(self, cls: type[M]) -> Iterator[None]:
        """Register a class that a caller gave, for a ``with`` statement.

        It replaces a class of this name that this process registered: in a notebook, an earlier version.

        Raises:
            DefinitionError: if ``cls`` is not a class of this kind or is abstract.
            UsageError: if a plugin has another class of this name.
        """
        check_component(cls, self.base)
        before = self._entry(cls.name)
        if before is not None and before.cls is not cls and before.source != LOCAL:
            raise UsageError(
                f"{cls.error_name()} has the name {cls.name!r}, and {before.source} has another {self.kind} "
                f'of this name; give the class another one, as in name = "my_{cls.name}".'
            )
        if before is None or before.cls is not cls:
            self.register_later(cls.name, LOCAL, lambda: cls)
        try:
            yield
        finally:
            others = {name: entry for name, entry in self._entries.items() if name != cls.name}
            self._entries = others if before is None else {**others, cls.name: before}

    def get(self, name: str, /, **options: Any) -> M:
        """A component with its options.

        Raises:
            UnknownNameError: if the name is unknown.
            UsageError: for an unknown option or an invalid value.
        """
        return self.cls(name)(**options)

    def cls(self, name: str) -> type[M]:
        """The class registered under a name.

        Raises:
            UnknownNameError: with the nearest names, and how to list all.
            UsageError: if ``name`` is not a string.
        """
        return self._known(name)[1]

    def source(self, name: str) -> Source:
        """The source of a registered name.

        Raises:
            UnknownNameError: if the name is unknown.
        """
        return self._known(name)[0]

    def __contains__(self, name: object) -> bool:
        """Whether a component has this name."""
        return isinstance(name, str) and self._entry(name) is not None

    def list(self, pattern: str = "*") -> Names:
        """Sorted names that match a shell pattern, alone (``*lstm``) or as ``family/name`` (``gated/*``).

        Raises:
            UsageError: if the pattern is not a string.
        """
        check_pattern(pattern)
        return sorted(
            name
            for name, entry in self._entries.items()
            if entry.cls is not None
            and any(fnmatch.fnmatchcase(text, pattern) for text in (name, f"{entry.cls.family}/{name}"))
        )

    def names_from(self, source: Source) -> tuple[str, ...]:
        """The names from one source, sorted."""
        return tuple(sorted(name for name, entry in self._entries.items() if entry.source == source))

    def fork(self) -> Registry[M]:
        """Copy the registry, to load a plugin on the copy."""
        copy = type(self)(self.base, self.plugin_note)
        copy._entries = self._entries
        return copy

    def commit(self, fork: Registry[M]) -> None:
        """Add all components of a fork, atomically."""
        self._entries = self._entries | fork._entries

    def clear(self) -> None:
        """Remove all components."""
        self._entries = {}

    def publish(self) -> None:
        """Hook for losses, which ``zoo.base`` looks up. Other kinds do nothing."""

    def _entry(self, name: str) -> Entry[M] | None:
        entry = self._entries.get(name)
        return None if entry is None or entry.cls is None else entry

    def _known(self, name: str) -> tuple[Source, type[M]]:
        """Source and class of a name.

        Raises:
            UnknownNameError: with the nearest names, and how to list all.
            UsageError: if ``name`` is not a string.
        """
        if not isinstance(name, str):
            raise UsageError(
                f"{short_repr(name)} is not a name; give the name of a registered {self.kind} as a string."
            )
        entry = self._entries.get(name)
        if entry is None or entry.cls is None:
            raise UnknownNameError(self._unknown(name))
        return entry.source, entry.cls

    def _taken(self, name: str, described: str, source: Source, holder: Source) -> str:
        remedy = ", or pass override=True to replace it" if source == LOCAL else ""
        return (
            f"{self.kind} name {name!r} is taken: {holder} registered it, and {source} registers {described} "
            f"under the same; choose another name{remedy}."
        )

    def _unknown(self, name: str) -> str:
        known = self._known_names()
        meant = did_you_mean_component(name, known)
        return f"unknown {self.kind} {name!r}.{meant} {self._listing()}{self.plugin_note()}"

    def _listing(self) -> str:
        known = self._known_names()
        if not known:
            return f"No {self.kind} is registered."
        if len(known) <= _MAX_LISTED:
            return f"The {plural(self.kind)} are {', '.join(known)}."
        command = plural(self.kind) if self.kind in ("block", "cell", "modifier", "task") else "plugins"
        return f"`zoo {command}` lists all {len(known)}."

    def _known_names(self) -> Names:
        """The names, sorted, without those of plugins that have failed; imports none."""
        return sorted(name for name, entry in self._entries.items() if not entry.has_failed)


def _check_published(cls: type[Component]) -> None:
    """Raise an error for a class without a reference: the components of an installed plugin are published."""
    if not cls.card.published:
        raise DefinitionError(
            f"{cls.error_name()}: the card has no authors, year and url, and a component of an installed "
            f"plugin needs a reference; add `card = {TEMPLATE}`."
        )


def check_pattern(pattern: object) -> str:
    """Check a shell pattern and return it.

    Raises:
        UsageError: if it is not a string.
    """
    if not isinstance(pattern, str):
        raise UsageError(f"pattern is {short_repr(pattern)}; expected a string, as in '*lstm'.")
    return pattern


def check_component(cls: object, expected: type[Component]) -> None:
    """Check that a class can be registered as a component of a kind.

    Raises:
        DefinitionError: for another object; the message names it and the remedy.
    """
    kind, base = expected.kind, f"zoo.{expected.__name__}"
    if isinstance(cls, expected):
        raise DefinitionError(f"{cls!r} is an instance; register the class {type(cls).__name__} itself.")
    if not inspect.isclass(cls):
        raise DefinitionError(
            f"{short_repr(cls)} is not a class; what is registered as {kind} is a class derived from {base}."
        )
    if not issubclass(cls, Component):
        raise DefinitionError(
            f"{cls.__qualname__} ({module_label(cls.__module__)}) is not {with_article(kind)}; derive it "
            f"from {base}."
        )
    if not issubclass(cls, expected):
        raise DefinitionError(
            f"{cls.error_name()} is not {with_article(kind)}; pass it to zoo.register_{cls.kind} or, in a "
            f"plugin, {hook_name(cls.kind)}."
        )
    if "name" not in vars(cls):
        raise DefinitionError(
            f"{cls.error_name()} is abstract: others derive from it; register one of those."
        )


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
            raise UsageError(self._taken(component.name, "another loss", source, self.source(component.name)))
        self.register_later(component.name, source, lambda: cast(Any, component))
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

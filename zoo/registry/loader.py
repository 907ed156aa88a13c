"""Load the plugins, one at a time, so that a broken one does not affect the others.

Nothing is loaded before the first look-up. It loads all plugins of other distributions. Such a plugin
registers its components on a fork of the registries. If its import and all its hooks succeed, the fork is
committed. If anything fails, the fork is dropped and the error recorded.

A shipped plugin is imported when its component is first needed. Its entry point contains the kind and the
name of the component. The import of all shipped plugins, over 200, took 0.2 s at the start of every command.
"""

from __future__ import annotations

import importlib
import inspect
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from zoo.arguments import short_repr
from zoo.base import Component
from zoo.base.loss import Loss
from zoo.base.names import did_you_mean
from zoo.errors import PluginError
from zoo.foreign_errors import ImportResult, error_text
from zoo.registry import hookspecs
from zoo.registry.entry_points import (
    EntryPoint,
    PluginRecord,
    Status,
    installed_entry_points,
    selected_plugins,
    unknown_selected,
)
from zoo.registry.hookspecs import COMPONENT_CLASSES
from zoo.registry.registry import LOCAL, LossRegistry, Registry, Source

M = TypeVar("M", bound=Component)

Registries = Mapping[str, Registry[Any]]
Snapshot = tuple[Registries, "tuple[PluginRecord, ...]"]

HOOKS = tuple(map(hookspecs.hook_name, hookspecs.KINDS))


class Loader:
    """The registries and the plugins that fill them.

    Args:
        discover: Finds the entry points, in the order of loading.
        environ: The environment, with ``ZOO_PLUGINS`` and ``ZOO_STRICT_PLUGINS``.
    """

    def __init__(
        self,
        discover: Callable[[], tuple[EntryPoint, ...]] = installed_entry_points,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._discover = discover
        self._environ = environ
        self.lock = threading.RLock()  # one lock for all imports of foreign code, so there is no lock order
        class_registries = {base.kind: Registry(base, self._plugin_note) for base in COMPONENT_CLASSES}
        self._registries: Registries = {**class_registries, Loss.kind: LossRegistry(Loss, self._plugin_note)}
        self._trial: tuple[Registries, Source] | None = None
        self._shipped_records: tuple[PluginRecord, ...] = ()
        self._records: tuple[PluginRecord, ...] = ()  # of all other plugins
        self._started = self._finished = False

    def registry(self, base: type[M]) -> Registry[M]:
        """The registry of a base class, after loading the plugins.

        Raises:
            PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
        """
        self.load()
        return self._registries[base.kind]

    def plugins(self) -> tuple[PluginRecord, ...]:
        """The status of every plugin.

        Raises:
            PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
        """
        self.load()
        self._load_shipped_plugins()
        return self._shipped_records + self._records

    def foreign_plugins(self) -> tuple[PluginRecord, ...]:
        """The status of every plugin but the shipped ones that have a component.

        Raises:
            PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
        """
        self.load()
        return self._records

    def loaded_plugins(self) -> tuple[PluginRecord, ...]:
        """As :meth:`foreign_plugins`, but load none: empty before the first look-up."""
        return self._records

    def register(self, kind: str, component: Any, override: bool = False) -> Any:
        """Register a class, or a loss; during the import of a plugin, with the plugin as its source.

        Raises:
            DefinitionError: as :meth:`Registry.register`.
            UsageError: as :meth:`Registry.register`.
        """
        self.load()
        with self.lock:
            registries, source = self._trial or (self._registries, LOCAL)
            return registries[kind].register(component, override=override, source=source)

    def load(self) -> None:
        """Load all foreign plugins, once; look-ups by a plugin while it loads see the plugins before it.

        Under ``ZOO_STRICT_PLUGINS=1``, it also imports all shipped plugins.

        Raises:
            PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
        """
        with self.lock:
            if not self._started:
                self._load()
            if self._finished and self._is_strict():
                self._raise_failure()

    def load_plugin(self, point: EntryPoint, import_module: Callable[[], ModuleType]) -> PluginRecord:
        """Load one more plugin.

        Args:
            point: Its entry point.
            import_module: Imports its module.

        Raises:
            PluginError: if it fails; then none of its components is registered.
        """
        self.load()
        with self.lock:
            record = self._load_on_fork(point, import_module)
            if record.status == "failed":
                raise PluginError(f"plugin {record} cannot be loaded: {record.error}") from record.cause
            self._records += (record,)
        return record

    def snapshot(self) -> Snapshot:
        """Everything that is registered now, for :meth:`restore`."""
        with self.lock:
            return {kind: registry.fork() for kind, registry in self._registries.items()}, self._records

    def restore(self, snapshot: Snapshot) -> None:
        """Forget what was registered and loaded since a snapshot."""
        with self.lock:
            registries, self._records = snapshot
            for kind, registry in self._registries.items():
                registry.clear()
                registry.commit(registries[kind])

    def _load(self) -> None:
        self._started = True
        try:
            points = self._discover()
            selected = selected_plugins(self._environ)
            for point in points:
                self._load_or_skip(point, selected)
            self._records += unknown_selected(selected or frozenset(), points)
            if self._is_strict():
                self._load_shipped_plugins()
            self._finished = True
        finally:
            if not self._finished:
                self._reset()

    def _is_strict(self) -> bool:
        return self._environ.get("ZOO_STRICT_PLUGINS", "") not in ("", "0")

    def _reset(self) -> None:
        """Reset after Ctrl-C, so that the next look-up starts over."""
        self._started, self._shipped_records, self._records = False, (), ()
        for registry in self._registries.values():
            registry.clear()

    def _load_or_skip(self, point: EntryPoint, selected: frozenset[str] | None) -> None:
        if point.component:
            self._load_later(point, *point.component)
        elif point.is_selected(selected):
            self._records += (self._load_on_fork(point, partial(_import, point)),)
        else:
            self._records += (point.record("skipped", "ZOO_PLUGINS does not name it"),)

    def _load_later(self, point: EntryPoint, kind: str, name: str) -> None:
        registry = self._registries[kind]
        record = point.record("loaded", provides=(f"{kind} {name}",))
        self._shipped_records += (record,)

        def load() -> type[Component] | None:
            with self.lock:
                try:
                    return _shipped_component(point, registry.base, name)
                except Exception as error:
                    failed = point.record("failed", error_text(error), cause=error)
                    records = self._shipped_records
                    self._shipped_records = tuple(failed if old is record else old for old in records)
                    return None

        registry.register_later(name, point.source, load)

    def _load_shipped_plugins(self) -> None:
        for registry in self._registries.values():
            registry.list()

    def _load_on_fork(self, point: EntryPoint, import_module: Callable[[], ModuleType]) -> PluginRecord:
        trial = {kind: registry.fork() for kind, registry in self._registries.items()}
        outer, self._trial = self._trial, (trial, point.source)
        try:
            with _isolated(point) as result:
                call_hooks(import_module(), point.source, trial)
                provides = _registered_names(trial, point.source)
        finally:
            self._trial = outer
        if result.error is not None:
            for registry in self._registries.values():
                registry.publish()
            return point.record("failed", error_text(result.error), cause=result.error)
        for kind, registry in self._registries.items():
            registry.commit(trial[kind])
        return point.record("loaded", provides=provides)

    def _with_status(self, status: Status) -> list[PluginRecord]:
        return [record for record in self._shipped_records + self._records if record.status == status]

    def _raise_failure(self) -> None:
        for record in self._with_status("failed"):
            raise PluginError(
                f"plugin {record}: {record.error} (ZOO_STRICT_PLUGINS is set)"
            ) from record.cause

    def _plugin_note(self) -> str:
        failed, skipped = _count(self._with_status("failed")), _count(self._with_status("skipped"))
        note = f" {failed} failed to load; `zoo plugins` shows why." if failed else ""
        return f"{note} ZOO_PLUGINS leaves out {skipped}." if skipped else note


def _count(records: list[PluginRecord]) -> str:
    return f"{len(records)} plugin{'s' * (len(records) > 1)}" if records else ""


def _isolated(point: EntryPoint) -> AbstractContextManager[ImportResult]:
    from zoo.registry.isolation import isolated  # most commands load no foreign plugin

    remedy = "; set ZOO_PLUGINS= to skip it" if point.source.distribution else ""
    return isolated(f"plugin {point.source}", remedy)


def _shipped_component(point: EntryPoint, base: type[M], name: str) -> type[M]:
    registry = Registry(base)
    call_hooks(_import(point), point.source, {base.kind: registry})
    return registry.cls(name)


def _import(point: EntryPoint) -> ModuleType:
    if point.error:
        raise PluginError(point.error)
    module, _, attribute = point.target.partition(":")
    if attribute:
        raise PluginError(
            f"the entry point is {point.target!r}; name the module alone, {module!r}, and put hooks in it"
        )
    return importlib.import_module(module)


def _registered_names(trial: Registries, source: Source) -> tuple[str, ...]:
    provides = tuple(
        f"{kind} {name}" for kind, registry in trial.items() for name in registry.names_from(source)
    )
    if not provides:
        raise PluginError(
            "it registers nothing; add a function zoo_register_cells(register), marked @zoo.hookimpl, "
            "that calls register(MyCell)"
        )
    return provides


class _HookManager(pluggy.PluginManager):
    """A manager with the hooks of `hookspecs`.

    It examines only the names of hooks in `hookspecs`, and not the classes, modules and texts of a plugin.
    Examining them took 0.2 ms for each plugin.
    """

    def __init__(self) -> None:
        super().__init__("zoo")
        self.add_hookspecs(hookspecs)

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return super().parse_hookspec_opts(module_or_class, name) if name in HOOKS else None

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        is_no_hook = issubclass(type(vars(plugin).get(name)), _NO_HOOKS)
        return None if is_no_hook else super().parse_hookimpl_opts(plugin, name)


_NO_HOOKS = (type, ModuleType, str, dict, list, tuple)
_idle_managers: list[_HookManager] = []


def call_hooks(module: ModuleType, source: Source, registries: Registries) -> None:
    """Call the hooks of a plugin's module for the kinds in ``registries``.

    No other plugin is registered in the manager at the same time. The next plugin uses the same manager,
    since a new one takes 0.2 ms, but not after an error.

    Args:
        module: The plugin.
        source: The source to record for its components.
        registries: The registries by kind.

    Raises:
        PluginError: if a hook is misspelt, not marked, not a plain function, takes other arguments than
            ``register``, or returns something that it did not register.
        Exception: from the hooks themselves.
    """
    manager = _idle_managers.pop() if _idle_managers else _HookManager()
    _check_names(module, manager)
    try:
        manager.register(module, source.plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        text = "; ".join(str(error).splitlines())
        raise PluginError(
            f"{text}; the hooks are {', '.join(HOOKS)}, and each takes one argument, register"
        ) from error
    for kind, registry in registries.items():
        # Without override: no plugin replaces a component of another.
        register, name = _Register(registry, source), hookspecs.hook_name(kind)
        for result in getattr(manager.hook, name)(register=register):
            if not any(result is component for component in register.components):
                raise PluginError(
                    f"{name} returns {short_repr(result)}; expected nothing. Call register for each {kind} "
                    f"instead."
                )
    manager.unregister(module)
    _idle_managers.append(manager)


class _Register:
    """The argument of a hook, a function with one argument.

    Args:
        registry: The registry of the components.
        source: The source to record for them.

    Attributes:
        components: The components that were registered.
    """

    def __init__(self, registry: Registry[Any], source: Source) -> None:
        self._registry, self._source = registry, source
        self.components: list[Any] = []

    def __call__(self, component: Any) -> Any:
        self.components.append(self._registry.register(component, source=self._source))
        return component


def _check_names(module: ModuleType, manager: pluggy.PluginManager) -> None:
    """Raise an error for functions named ``zoo_register_...`` that pluggy would silently ignore."""
    for name, value in sorted(vars(module).items()):
        if not name.startswith("zoo_register_") or not inspect.isfunction(value):
            continue
        if name not in HOOKS:
            raise PluginError(
                f"{name} is not a hook; the hooks are {', '.join(HOOKS)}.{did_you_mean(name, HOOKS)}"
            )
        if manager.parse_hookimpl_opts(module, name) is None:
            raise PluginError(f"{name} is not marked as a hook; put @zoo.hookimpl above it")
        if any(test(value) for test in _RUN_LATER):
            raise PluginError(
                f"{name} is a generator or an asynchronous function, whose body would not run; write a "
                f"function without yield and async"
            )


_RUN_LATER = inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction


LOADER = Loader()
"""The loader of this process."""

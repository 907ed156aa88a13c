"""Load plugins one at a time, so that a broken one stops no other.

A plugin is tried on a fork of the registries. If its import and all its hooks succeed, the fork is adopted;
if anything fails, the fork is dropped as a whole and the reason recorded. Nothing is loaded before the first
look-up.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

from zoo.base import Component
from zoo.errors import PluginError
from zoo.foreign_errors import error_text
from zoo.registry.entry_points import (
    EntryPoint,
    PluginRecord,
    Status,
    installed_entry_points,
    selected_plugins,
    unknown_selected,
)
from zoo.registry.hooks import call_hooks
from zoo.registry.hookspecs import COMPONENT_CLASSES
from zoo.registry.registry import LOCAL, Registry, Source


@dataclass
class ImportResult:
    """The result of importing foreign code.

    Attributes:
        error: Whatever it raised; None if it ended normally.
    """

    error: BaseException | None = None


M = TypeVar("M", bound=Component)

Registries = Mapping[str, Registry[Any]]


class Loader:
    """The registries and the plugins that fill them.

    Args:
        discover: Finds the doors, in the order in which they are opened.
        environ: Where ``ZOO_PLUGINS`` and ``ZOO_STRICT_PLUGINS`` are looked up.
    """

    def __init__(
        self,
        discover: Callable[[], tuple[EntryPoint, ...]] = installed_entry_points,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._discover = discover
        self._environ = environ
        self.lock = threading.RLock()  # one for all imports of other people's code: no order to get wrong
        self._registries: Registries = {
            contract.kind: Registry(contract, self._hint) for contract in COMPONENT_CLASSES
        }
        self._trial: tuple[Registries, Source] | None = None
        self._records: tuple[PluginRecord, ...] = ()
        self._started = self._finished = False

    def registry(self, contract: type[M]) -> Registry[M]:
        """The registry of a contract, filled.

        Raises:
            PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
        """
        self.load()
        return self._registries[contract.kind]

    def plugins(self) -> tuple[PluginRecord, ...]:
        """What became of every plugin.

        Raises:
            PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
        """
        self.load()
        return self._records

    def register(self, contract: type[M], cls: type[M], override: bool = False) -> type[M]:
        """Register a class by hand; within a plugin's import, on behalf of the plugin.

        Raises:
            DefinitionError: as :meth:`Registry.register`.
            UsageError: as :meth:`Registry.register`.
        """
        self.load()
        with self.lock:
            registries, source = self._trial or (self._registries, LOCAL)
            registries[contract.kind].register(cls, override=override, source=source)
        return cls

    def load(self) -> None:
        """Load all plugins, once; a plugin that looks something up while it loads sees those before it.

        Raises:
            PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
        """
        with self.lock:
            if not self._started:
                self._load()
            if self._finished and self._environ.get("ZOO_STRICT_PLUGINS", "") not in ("", "0"):
                self._raise_failure()

    def load_plugin(self, door: EntryPoint, bring: Callable[[], ModuleType]) -> PluginRecord:
        """Load one more plugin, which somebody asked for by name.

        Args:
            door: Where it comes from.
            bring: Imports it.

        Raises:
            PluginError: if it fails; then nothing of it is registered.
        """
        self.load()
        with self.lock:
            record = self._load_on_fork(door, bring)
            if record.status == "failed":
                raise PluginError(f"plugin {record} cannot be loaded: {record.error}") from record.cause
            self._records += (record,)
        return record

    def _load(self) -> None:
        self._started = True
        try:
            doors = self._discover()
            selection = selected_plugins(self._environ)
            for door in doors:
                self._load_or_skip(door, selection)
            self._records += unknown_selected(selection or frozenset(), doors)
            self._finished = True
        finally:
            if not self._finished:
                self._reset()

    def _reset(self) -> None:
        """After Ctrl-C half way, so that the next look-up starts over."""
        self._started, self._records = False, ()
        for registry in self._registries.values():
            registry.clear()

    def _load_or_skip(self, door: EntryPoint, selection: frozenset[str] | None) -> None:
        if door.is_selected(selection):
            self._records += (self._load_on_fork(door, partial(_import, door)),)
        else:
            self._records += (door.record("skipped", "ZOO_PLUGINS does not name it"),)

    def _load_on_fork(self, door: EntryPoint, bring: Callable[[], ModuleType]) -> PluginRecord:
        trial = {kind: registry.fork() for kind, registry in self._registries.items()}
        outer, self._trial = self._trial, (trial, door.source)
        try:
            with _error_capture(door) as result:
                call_hooks(bring(), door.source, trial)
                provides = _registered_names(trial, door.source)
        finally:
            self._trial = outer
        if result.error is not None:
            return door.record("failed", error_text(result.error), cause=result.error)
        for kind, registry in self._registries.items():
            registry.commit(trial[kind])
        return door.record("loaded", provides=provides)

    def _with_status(self, status: Status) -> list[PluginRecord]:
        return [record for record in self._records if record.status == status]

    def _raise_failure(self) -> None:
        for record in self._with_status("failed"):
            raise PluginError(
                f"plugin {record}: {record.error} (ZOO_STRICT_PLUGINS is set)"
            ) from record.cause

    def _hint(self) -> str:
        failed, skipped = _count(self._with_status("failed")), _count(self._with_status("skipped"))
        said = f" {failed} failed to load; `zoo plugins` shows why." if failed else ""
        return f"{said} ZOO_PLUGINS leaves out {skipped}." if skipped else said


def _count(records: list[PluginRecord]) -> str:
    return f"{len(records)} plugin{'s' * (len(records) > 1)}" if records else ""


def _error_capture(door: EntryPoint) -> AbstractContextManager[ImportResult]:
    """Context for foreign code. zoo's own 130 plugins are not isolated, which saves time."""
    if door.shipped:
        return _captured_error()
    from zoo.registry.isolation import isolated

    remedy = "; set ZOO_PLUGINS= to skip it" if door.source.distribution else ""
    return isolated(f"plugin {door.source}", remedy)


@contextmanager
def _captured_error() -> Iterator[ImportResult]:
    result = ImportResult()
    try:
        yield result
    except Exception as error:
        result.error = error


def _import(door: EntryPoint) -> ModuleType:
    if door.error:
        raise PluginError(door.error)
    module, _, attribute = door.target.partition(":")
    if attribute:
        raise PluginError(
            f"the entry point is {door.target!r}; name the module alone, {module!r}, and put hooks in it"
        )
    return importlib.import_module(module)


def _registered_names(trial: Registries, source: Source) -> tuple[str, ...]:
    provides = tuple(
        f"{kind} {name}" for kind, registry in trial.items() for name in registry.names_from(source)
    )
    if not provides:
        raise PluginError(
            "it registers nothing; bring a function zoo_register_cells(register), marked @zoo.hookimpl, "
            "that calls register(MyCell)"
        )
    return provides


LOADER = Loader()

"""The one that ``zoo.get_cell`` and its sisters ask."""

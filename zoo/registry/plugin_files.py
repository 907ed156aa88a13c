"""Plugins, classes and losses in a Python file: ``--plugin FILE.py``, ``--cell FILE.py:Class``."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeVar

from zoo.arguments import real_path
from zoo.base import Block, Cell, Component, Modifier, Optimizer, Task
from zoo.base.loss import Loss
from zoo.base.names import did_you_mean, with_article
from zoo.errors import DefinitionError, PluginError, UsageError
from zoo.foreign_errors import error_text
from zoo.registry import loader
from zoo.registry.composite_names import split_name, with_parts
from zoo.registry.entry_points import EntryPoint, PluginRecord
from zoo.registry.hookspecs import COMPONENT_CLASSES, hook_name, hookimpl, plural
from zoo.registry.registry import Source, check_component
from zoo.run_module import FILE_MODULE, run_module

M = TypeVar("M", bound=Component)


class _FreshLoader(SourceFileLoader):
    """Compile the current text of the file, without reading or writing ``__pycache__``."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  # the protocol's argument
        return self.source_to_code(self.get_data(self.path), self.path)


def load_plugin_file(path: str | Path) -> PluginRecord:
    """Load a plugin from a Python file with hooks; loading the same text again has no effect.

    Args:
        path: The file; or ``FILE.py:NAME`` to register one loss of a file without hooks.

    Raises:
        UsageError: if the Python file, or the loss in it, does not exist.
        PluginError: if it cannot be imported, its hooks are invalid, or the name of the loss is taken.
    """
    if ".py:" in str(path):
        return _load_loss(str(path))[1]
    file = _python_file(path)
    return _load(EntryPoint(Source(str(path)), _module_name(file)), lambda: _import_file(file))


def load_loss_file(text: str) -> Loss:
    """The loss of ``path/to/file.py:NAME``, which is registered for this process: models store its name.

    Raises:
        UsageError: if the file or the loss does not exist.
        PluginError: if the file cannot be imported, or the name of the loss is taken.
    """
    return _load_loss(text)[0]


def _load_loss(text: str) -> tuple[Loss, PluginRecord]:
    path, _, name = text.rpartition(":")
    if not path.endswith(".py") or not name:
        raise UsageError(f"{text!r} does not name a loss in a file; write it as path/to/file.py:MY_LOSS.")
    values = vars(_import_path(path))
    loss = values.get(name)
    if not isinstance(loss, Loss):
        known = [key for key, value in values.items() if isinstance(value, Loss)]
        listing = f"its losses are {', '.join(known)}" if known else "it defines no zoo.Loss"
        raise UsageError(f"{path} has no loss {name!r}; {listing}.{did_you_mean(name, known)}")
    module = ModuleType(f"{_module_name(_python_file(path))}:{name}")

    def register_loss(register: Callable[[Loss], Loss]) -> None:
        register(loss)

    setattr(module, hook_name(Loss.kind), hookimpl(register_loss))
    return loss, _load(EntryPoint(Source(text), module.__name__), lambda: module)


def _load(point: EntryPoint, import_module: Callable[[], ModuleType]) -> PluginRecord:
    for record in loader.LOADER.foreign_plugins():
        if record.module == point.target:
            return record
    return loader.LOADER.load_plugin(point, import_module)


def load_cell_file(text: str) -> type[Cell]:
    """The cell class of ``path/to/file.py:MyCell`` with modifiers and a block, which is not registered.

    The modifiers and the block may be classes in files too, ``file.py:MyBlock(lstm+file.py:MyModifier)``.

    Raises:
        UsageError: if a file or class does not exist.
        DefinitionError: if the class is not a cell.
        PluginError: if a file cannot be imported.
    """
    block, cell, modifiers = split_name(text)
    cls = load_class_file(cell, Cell) if is_file_spec(cell) else loader.LOADER.registry(Cell).cls(cell)
    return with_parts(
        cls,
        [load_class_file(each, Modifier) if is_file_spec(each) else each for each in modifiers],
        load_class_file(block, Block) if is_file_spec(block) else block,
    )


def load_class_file(text: str, base: type[M]) -> type[M]:
    """The class of ``path/to/file.py:MyClass``, which is not registered.

    Args:
        text: The file and the class.
        base: ``Cell``, ``Task`` or another base class; ``Component`` for a component of any kind.

    Raises:
        UsageError: if the file or class does not exist, the class is a component of another kind, or an
            optimizer has the name of a registered one.
        DefinitionError: if it is not a component.
        PluginError: if the file cannot be imported.
    """
    path, _, name = text.rpartition(":")
    if not path.endswith(".py") or not name:
        file = text.rstrip(":") if text.rstrip(":").endswith(".py") else "path/to/file.py"
        example = f"{file}:My{'Class' if base is Component else base.kind.capitalize()}"
        raise UsageError(f"{text!r} does not name a class in a file; write it as {example}.")
    cls = _find_class(_import_path(path), name, path, base)
    if base is Optimizer and cls.name in loader.LOADER.registry(base):
        # A run and a comparison store the name alone: continued, they would use the registered optimizer.
        raise UsageError(f"{text}: {cls.name!r} is the name of a registered optimizer; rename the class.")
    return cls


def load_component_file(text: str) -> type[Component] | Loss:
    """The class or the loss of ``path/to/file.py:NAME``, which is not registered.

    Raises:
        UsageError: if the file or the name does not exist.
        DefinitionError: if it is neither a component nor a loss.
        PluginError: if the file cannot be imported.
    """
    path, _, name = text.rpartition(":")
    value = getattr(_import_path(path), name, None) if path.endswith(".py") else None
    if isinstance(value, Loss):
        return value
    if hasattr(value, "py_func"):
        raise UsageError(f"{text} is a kernel; give the class, or the zoo.Loss, that it is a part of.")
    return load_class_file(text, Component)


def is_file_spec(text: str) -> bool:
    """Whether a text is a file rather than a registered name."""
    return text.endswith(".py") or ".py:" in text


def _import_path(path: str) -> ModuleType:
    """Import a file in isolation."""
    from zoo.registry.isolation import isolated

    file = _python_file(path)
    with loader.LOADER.lock, isolated(f"file {path}") as result:
        module = _import_file(file)
    if result.error is not None:
        raise PluginError(f"{path} cannot be imported: {error_text(result.error)}") from result.error
    return module


def _find_class(module: ModuleType, name: str, path: str, base: type[M]) -> type[M]:
    cls = getattr(module, name, None)
    if cls is None:
        kind, kinds = base.kind, plural(base.kind)
        known = [name for name, value in vars(module).items() if _is_concrete(value, base)]
        if base is Component:
            kind, kinds = "class or loss", "classes and losses"
            known += [name for name, value in vars(module).items() if isinstance(value, Loss)]
        listing = f"its {kinds} are {', '.join(known)}" if known else f"it defines no {kind}"
        raise UsageError(f"{path} has no class {name!r}; {listing}.{did_you_mean(name, known)}")
    wanted = _base_class_of(cls) if base is Component else base
    other = _base_class_of(cls) if inspect.isclass(cls) and issubclass(cls, Component) else wanted
    if other is not wanted:
        advice = f"; give it as `{other.kind}`" if other in (Cell, Task) else ""
        raise UsageError(
            f"{path}:{name} is {with_article(other.kind)}; expected {with_article(wanted.kind)}{advice}."
        )
    try:
        check_component(cls, wanted)
    except DefinitionError as error:
        raise DefinitionError(f"{path}:{name} cannot be used: {error}") from None
    return cls  # type: ignore[no-any-return]  # checked just above


def _base_class_of(value: object) -> type[Component]:
    """The base class that a class derives from; ``Cell`` if it derives from none."""
    derived = (each for each in COMPONENT_CLASSES if inspect.isclass(value) and issubclass(value, each))
    return next(derived, Cell)


def _is_concrete(value: object, base: type[Component]) -> bool:
    return inspect.isclass(value) and issubclass(value, base) and "name" in vars(value)


def _python_file(path: str | Path) -> Path:
    file = real_path(path)
    if Path(path).suffix != ".py":
        raise UsageError(f"{path} is not a Python file; its name should end in .py.")
    if not file.is_file():
        raise UsageError(f"{path}: no such file or directory; give the path of a Python file.")
    return file


def _module_name(file: Path) -> str:
    """A module name that depends on the path and the text, so that an edited file is imported again."""
    stem = re.sub(r"\W", "_", file.stem)
    digest = hashlib.sha256(os.fsencode(file) + b"\0" + file.read_bytes()).hexdigest()
    return f"{FILE_MODULE}{stem}_{digest[:12]}"


def _import_file(file: Path) -> ModuleType:
    """Import a file, once for each text."""
    name = _module_name(file)
    with loader.LOADER.lock:
        if name not in sys.modules:
            run_module(name, file, _FreshLoader(name, str(file)))
        return sys.modules[name]

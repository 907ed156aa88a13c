"""What all tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import zoo
from zoo.registry import loader

# Started in the background by a shell, tests inherit an ignored SIGINT, and so would every process of theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Compiling makes a first example slow, and machines differ: examples are counted, not timed.
# Derandomised, since a red run should be one that can be repeated.
settings.register_profile("zoo", deadline=None, derandomize=True, database=None)
settings.load_profile("zoo")

MOST_WORKERS = 4  # each compiles for itself, and a compiler takes half a gigabyte


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in several processes, and files that were asked for in this one."""
    asked_for = config.args_source is pytest.Config.ArgsSource.ARGS
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if asked_for else min(cores, MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The laws of one cell share a process, so that it is compiled once; so do the other tests of a file."""
    for item in items:
        cell = getattr(item, "callspec", None) and item.callspec.params.get("cell")
        item.add_marker(pytest.mark.xdist_group(cell.name if isinstance(cell, zoo.Cell) else str(item.path)))


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry for one test, filled by the installed plugins. Later tests do not see what it registers."""
    monkeypatch.setattr(loader, "LOADER", loader.Loader())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on ``sys.path`` to install distributions into; their modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]

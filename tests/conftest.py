"""Fixtures and settings of all tests."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import command_server
import pytest
from _pytest.runner import runtestprotocol
from docs_runner import PLAIN
from hypothesis import core, settings
from hypothesis.internal.conjecture import providers

import zoo
from zoo.kernels import precision, pure_python
from zoo.kernels.processor import Processor
from zoo.registry import loader

# Under PYTHONDONTWRITEBYTECODE, each of the hundreds of processes that tests start would compile 300 modules
# of zoo, in 0.2 s of a processor, and each run of pytest all test files, in 4 s. PYTHONPYCACHEPREFIX would
# also hide the bytecode that pip has compiled: a first run then compiled other packages again, for 6 s.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

os.environ["ZOO_COMPILE_MESSAGE"] = "0"  # stderr of a command must not depend on the cache

# Tests keep all processors busy: there is none for a second process that compiles.
os.environ["ZOO_COMPILE_PROCESSES"] = "1"

# Threads of OpenBLAS wait for each other in loops. With more processes than processors, a command that fits a
# logistic regression took 12 s of a processor instead of 2 s.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Started in the background by a shell, tests inherit an ignored SIGINT, and so would every process of theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Compiling makes a first example slow, and machines differ: examples are counted, not timed.
# Derandomised, since a red run should be one that can be repeated.
settings.register_profile("zoo", deadline=None, derandomize=True, database=None)
settings.load_profile("zoo")

# Hypothesis parses all loaded modules, generated kernels too, and draws some values from their constants. In
# a new clone, that took 4 to 15 s of each process, and the examples depended on the tests before.
providers._get_local_constants = lambda: providers._local_constants

source_digest, digests = core.function_digest, {}


def function_digest(function: Any) -> bytes:
    """Compute Hypothesis's digest of a test once.

    Hypothesis reads the source twice in each run. All laws run in one function, where that took 4 of 5.6 ms.
    """
    code = getattr(function, "__code__", function)
    key = code, getattr(function, "_hypothesis_internal_add_digest", b"")
    if key not in digests:
        digests[key] = source_digest(function)
    return digests[key]


core.function_digest = function_digest

# A compiler makes many objects that stay. With Python's thresholds, collections took a fifth of the time of a
# run that compiles (18 s of 93), most of it to look at old objects again.
gc.set_threshold(50_000, 20, 20)

MAX_WORKERS = 4  # each compiles for itself, and a compiler takes half a gigabyte

TESTS = Path(__file__).parent
QUICK_CELLS = ("vanilla", "lstm")
# Files that --quick leaves out: they compile many kernels, or start many processes.
SLOW_FILES = {
    "bench/test_bench.py",
    "cell_pages/test_cell_pages.py",
    "cli/test_bench.py",
    "cli/test_cells.py",
    "cli/test_class_files.py",
    "cli/test_cli.py",
    "cli/test_compare.py",
    "cli/test_edges.py",
    "cli/test_new.py",
    "cli/test_runs.py",
    "comparison/test_comparison.py",
    "comparison/test_dask.py",
    "comparison/test_kill.py",
    "compiler/test_background.py",
    "compiler/test_compiler_process.py",
    "compiler/test_elementwise_ops.py",
    "compiler/test_linear_algebra.py",
    "compiler/test_planning.py",
    "compiler/test_random_steps.py",
    "compiler/test_second_compiler.py",
    "compiler/test_source_errors.py",
    "compiler/test_source_module.py",
    "compiler/test_structural_ops.py",
    "export/test_random_steps.py",
    "forecasting/test_calibration.py",
    "kernels/test_cache.py",
    "kernels/test_compile_message.py",
    "kernels/test_input_projection_and_loss.py",
    "kernels/test_jit.py",
    "kernels/test_linear_algebra.py",
    "kernels/test_matmul.py",
    "kernels/test_processors.py",
    "kernels/test_shared_kernels.py",
    "layers/test_checkpointing.py",
    "layers/test_noise.py",
    "model/test_checkpoint.py",
    "model/test_compiled_step.py",
    "model/test_embedding.py",
    "model/test_sampling.py",
    "plugins/test_modifiers_conformance.py",
    "plugins/test_modifiers_runs.py",
    "plugins/test_samplers.py",
    "plugins/test_vanilla.py",
    "registry/test_example_plugin.py",
    "registry/test_isolation.py",
    "report/test_figures.py",
    "storage/test_damaged_files.py",
    "storage/test_kill.py",
    "test_bounded_memory.py",
    "test_docs.py",
    "test_foreign_files.py",
    "test_hostile_arguments.py",
    "test_package.py",
    "test_processes.py",
    "testing/test_child.py",
    "testing/test_testing.py",
    "tools/test_compare_versions.py",
    "tools/test_crash_test.py",
    "training/test_resume.py",
}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in several processes, files named on the command line in one."""
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if named else min(cores, MAX_WORKERS)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for daily work."""
    parser.addoption(
        "--quick",
        action="store_true",
        help="run a selection of tests that takes less than a minute: no slow file, the laws of two cells, "
        "and three cases of every other test with parameters",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run the tests of a cell in one process, which compiles it once, and so the other tests of a file."""
    from process_groups import GroupScheduling

    return GroupScheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Let a worker end at once: it has sent its reports, and frees a thousand kernels for ten seconds."""
    if hasattr(config, "workerinput"):
        atexit.register(os._exit, 0)  # after all that is registered later


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Let every second process import the test files from the end.

    In a first run, Python compiles test files and packages for 9 s of a processor. Two processes that import
    in one order would both compile all of them.
    """
    report = yield
    worker = getattr(collector.config, "workerinput", {}).get("workerid", "gw0")
    if isinstance(collector, pytest.Directory) and int(worker[2:]) % 2:
        report.result.reverse()
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the tests of ``--quick`` and those that processes begin with."""
    if config.getoption("quick"):
        chosen = set(quick_selection(items))
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = [item for item in items if item in chosen]
    if hasattr(config, "workerinput"):  # a slow file at the end would run alone
        items.sort(key=lambda item: (not is_slow(item), str(item.path)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test in a worker, and send fewer messages to the main process than pytest does."""
    if not hasattr(item.config, "workerinput"):
        return None
    from process_groups import reports_to_send

    for report in reports_to_send(runtestprotocol(item, log=False, nextitem=nextitem)):
        item.ihook.pytest_runtest_logreport(report=report)
    return True


def pytest_collection_finish() -> None:
    """Exempt the objects of tests and modules, 770,000, from garbage collection: a full one takes 0.4 s."""
    gc.freeze()


def is_slow(item: pytest.Item) -> bool:
    """Whether the test is in one of the slow files."""
    return item.path.relative_to(TESTS).as_posix() in SLOW_FILES


def cell_name(item: pytest.Item) -> str:
    """The name of the cell that a test has as its parameter ``cell``; empty if it has none."""
    callspec = getattr(item, "callspec", None)
    cell = callspec.params.get("cell") if callspec else None
    return cell.name if isinstance(cell, zoo.Cell) else ""


def quick_selection(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield the tests of ``--quick``, in order."""
    cases: dict[tuple[Path, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if cell_name(item) in QUICK_CELLS:
            yield item
        elif not cell_name(item) and not is_slow(item):
            cases[item.path, getattr(item, "originalname", item.name)].append(item)
    for group in cases.values():
        yield from dict.fromkeys((group[0], group[len(group) // 2], group[-1]))


@pytest.fixture(autouse=True)
def restored_registry() -> Iterator[None]:
    """Remove what a test registers, so that later tests of the process do not see it."""
    current = loader.LOADER
    current.load()
    saved = current.snapshot()
    yield
    current.restore(saved)


@pytest.fixture
def plain_python() -> Iterator[None]:
    """Run kernels as plain Python, for tests of other things with kernels that no other test compiles."""
    with pure_python():
        yield


@pytest.fixture
def any_processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Accept ``precision="bf16"`` on every processor. Kernels run as plain Python, with the same bits."""
    processor = Processor("", "znver5", frozenset({"+avx512bf16"}))
    monkeypatch.setattr(precision, "target_processor", lambda: processor)
    monkeypatch.setattr(precision, "has_amx", lambda: False)
    with pure_python():
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, str]]:
    """The environment variables with which pages, commands and programs run in forks of one process."""
    with command_server.command_server({**os.environ, **PLAIN}) as variables:
        yield variables


@pytest.fixture
def forked_python(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A program to start instead of ``sys.executable``, which saves 0.5 s of a processor for imports of zoo.

    It forks a process that has imported zoo, or starts a new process where that is not the same.
    """
    monkeypatch.setenv("PYTHONUTF8", PLAIN["PYTHONUTF8"])  # Python reads it when it starts
    return command_server.substitute_python(server)


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


@pytest.fixture
def kernel_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory of kernels, which another process may fill."""
    from zoo.compiler import compiler_process
    from zoo.compiler.background import PROCESS
    from zoo.kernels.cache_dir import kernel_directory

    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_COMPILE_PROCESSES", "2")
    monkeypatch.setattr(compiler_process, "available_processors", lambda: 2)
    kernel_directory.cache_clear()
    PROCESS.stop()
    yield tmp_path / "cache" / "kernels"
    PROCESS.stop()
    kernel_directory.cache_clear()

"""The disk cache of compiled kernels: what it saves, what it never serves, and what it survives."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core.compiler_lock import global_compiler_lock

import zoo
from zoo.kernels import cache_dir, linked_library
from zoo.kernels.cache import attach_cache, function_digest
from zoo.kernels.cache_dir import (
    cache_directory,
    cache_limit,
    cached_files,
    clear_cache,
    kernel_directory,
    read_owned_file,
    remove_old_files,
)
from zoo.kernels.cache_lock import HAS_LOCKS, lock_kernel, unlock_kernel

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

# --- Programs in processes of their own ---

KERNEL = """
import zoo
from zoo import kernels
import helper
from helper import half

FACTOR = 2.0

@zoo.njit
def work(x):
    return FACTOR * half(x) + helper.more(x) + kernels.tanh(x)
"""
HELPER = """
import zoo
import numpy as np

OFFSET = np.array([0.0, 10.0])

@zoo.njit
def half(x):
    return 0.5 * x

@zoo.njit
def more(x):
    return OFFSET[1]
"""
CALL = """
import sys, warnings
import zoo
sys.dont_write_bytecode = True
warnings.simplefilter("error")
sys.path.insert(0, {folder!r})
from kernel import work
result = work(0.5)
stats = work.dispatcher.stats
print(round(result, 3), sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


class Program:
    """Two modules in a folder, run again and again with one cache.

    Args:
        folder: The folder.
        python: Path of Python, or of a substitute that forks.
    """

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python = folder, python
        self.cache = folder / "cache"
        self.write("kernel", KERNEL)
        self.write("helper", HELPER)

    def write(self, module: str, text: str) -> None:
        (self.folder / f"{module}.py").write_text(text, encoding="utf-8")

    def start(self, **environment: str) -> subprocess.Popen[str]:
        settings = {"ZOO_CACHE_DIR": str(self.cache)}
        if "NUMBA_BOUNDSCHECK" in os.environ:
            settings["NUMBA_BOUNDSCHECK"] = "0"
        return subprocess.Popen(
            [self.python, "-c", CALL.format(folder=str(self.folder))],
            env=os.environ | settings | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **environment: str) -> tuple[float, str]:
        """The result, and ``"hits misses"``."""
        process = self.start(**environment)
        out, err = process.communicate()
        assert process.returncode == 0, err
        result, hits, misses = out.split()
        return float(result), f"{hits} {misses}"

    @property
    def files(self) -> list[Path]:
        return sorted((self.cache / "kernels").glob("*.kernel"))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path, sys.executable)


@pytest.fixture
def forked_program(tmp_path: Path, forked_python: str) -> Program:
    """For tests that need no process with another hash seed and other addresses."""
    return Program(tmp_path, forked_python)


# 2 * 0.25 + 10 + tanh(0.5)
RESULT = 10.962


def test_second_process_compiles_nothing(program: Program) -> None:
    assert program.run() == (RESULT, "0 1")
    files = {file: file.stat().st_mtime_ns for file in program.files}
    assert sorted(name.name.partition("-")[0] for name in files) == ["half", "more", "work"]
    assert program.run() == (RESULT, "1 0")
    assert {file: file.stat().st_mtime_ns for file in program.files} == files
    assert not list((program.cache / "kernels").glob("*.tmp"))
    if hasattr(os, "getuid"):
        assert stat.S_IMODE((program.cache / "kernels").stat().st_mode) == 0o700
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


CHANGES = {
    "its own text": ("kernel", "FACTOR * half(x)", "FACTOR * half(x) + 1.0", RESULT + 1),
    "a number it takes from a global": ("kernel", "FACTOR = 2.0", "FACTOR = 4.0", RESULT + 0.5),
    "a helper in another file": ("helper", "0.5 * x", "1.5 * x", RESULT + 1),
    "a helper reached through its module": (
        "helper",
        "return OFFSET[1]",
        "return 2 * OFFSET[1]",
        RESULT + 10,
    ),
    "an array of another file": ("helper", "10.0]", "20.0]", RESULT + 10),
}


def test_any_change_recompiles(forked_program: Program) -> None:
    program = forked_program
    program.run()
    for change, (module, old, new, expected) in CHANGES.items():
        text = {"kernel": KERNEL, "helper": HELPER}[module]
        assert text.count(old) == 1
        program.write(module, text.replace(old, new))
        result, counts = program.run()
        assert result == pytest.approx(expected, abs=1e-3), change
        assert counts == "0 1", change
        program.write(module, text)
    assert program.run() == (RESULT, "1 0"), "and what was compiled before is still there"


def test_compiler_settings_are_separate_entries(forked_program: Program) -> None:
    program = forked_program
    plainest = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    program.run()
    assert program.run(NUMBA_BOUNDSCHECK="1") == (RESULT, "0 1")
    assert program.run(**plainest) == (RESULT, "0 1")
    assert program.run(**plainest) == (RESULT, "1 0")
    assert program.run() == (RESULT, "1 0")


def test_processes_that_start_together_compile_a_kernel_once(forked_program: Program) -> None:
    program = forked_program
    processes = [program.start() for _ in range(3)]
    misses = 0
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert float(out.split()[0]) == RESULT
        misses += int(out.split()[2])
    assert misses == 1 or not HAS_LOCKS
    assert program.run() == (RESULT, "1 0")
    assert len(program.files) == 3
    assert not list((program.cache / "kernels").glob("*.tmp"))


def test_shipped_kernels_load_in_second_process(tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from zoo_cells.classic import vanilla\n"
        "from zoo import kernels\n"
        "w, x = np.ones((3, 3), 'f4'), np.zeros((2, 1), 'i4')\n"
        "state = (np.zeros((1, 3), 'f4'),)\n"
        "y, last, tape = vanilla.forward((w, w, w[0]), x, state)\n"
        "vanilla.backward((w, w, w[0]), x, state, tape, y, last)\n"
        "for kernel in (vanilla.forward, vanilla.backward):\n"
        "    print(sum(kernel.dispatcher.stats.cache_misses.values()), end=' ')\n"
    )
    environment = os.environ | {"ZOO_CACHE_DIR": str(tmp_path)}
    for expected in ("1 1 ", "0 0 "):
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert run.stdout == expected, run.stderr


FUNCTIONS_OF_NUMBA = """
import numpy as np
import zoo

@zoo.njit
def count(words, seed):
    if seed < 0:
        raise ValueError("the seed is negative")
    np.random.seed(seed)
    counts = {"a": 0.0}
    for word in words:
        if word in counts:
            counts[word] += np.random.random()
    return counts["a"]

print(count(("a", "b", "a"), 1))
try:
    count(("a", "b", "a"), -1)
except ValueError as error:
    print(error)
print(sum(count.dispatcher.stats.cache_misses.values()))
"""


def test_kernel_with_functions_of_numba_loads_without_them(tmp_path: Path) -> None:
    """Loading a kernel does not import Numba's implementations of dictionaries, hashes and random values."""
    file = tmp_path / "count.py"
    file.write_text(FUNCTIONS_OF_NUMBA, encoding="utf-8")
    environment = os.environ | {"ZOO_CACHE_DIR": str(tmp_path / "cache")}
    outputs = []
    for _ in range(2):
        run = subprocess.run([sys.executable, str(file)], env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout.splitlines())
    assert outputs[1][:2] == outputs[0][:2]
    assert outputs[0][1] == "the seed is negative"
    assert (outputs[0][2], outputs[1][2]) == ("1", "0")


BUILTIN_CELL = """
import sys
import numpy as np
import zoo


class Builtin(zoo.Cell):
    \"\"\"Its loops call a builtin function.\"\"\"

    card = zoo.Card(title="None", authors="The tests", year=2026, url="https://example.org")
    W = zoo.Param("I", "3H")
    h = zoo.State("H")
    c = zoo.State("H")

    def step(self, x, h, c):
        a, b, d = zoo.split(x @ self.W, 3)
        c = np.abs(a) * c + zoo.sigmoid(b) * h
        return np.tanh(c) * np.abs(d), c


rnn = zoo.Recurrent(Builtin(), 3, 4)
x = np.zeros((2, 1), "i4") if sys.argv[1] == "tokens" else np.ones((2, 1, 3), "f4")
y, _ = rnn.forward(x)
rnn.backward(y)
"""


def test_loops_of_another_kind_of_input_load_in_second_process(tmp_path: Path) -> None:
    file = tmp_path / "builtin_cell.py"
    file.write_text(BUILTIN_CELL, encoding="utf-8")
    environment = os.environ | {"ZOO_CACHE_DIR": str(tmp_path / "cache")}
    for kind in ("dense", "tokens"):
        run = subprocess.run(
            [sys.executable, str(file), kind], env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr


# --- Digests ---

NUMBER = 3


def digest(function: Any) -> str | None:
    return function_digest(function, {})


@zoo.njit
def one(x):
    return x + NUMBER


def test_digest_changes_with_dependencies_only(monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(one.py_func)
    assert first == digest(one.py_func)
    assert first != function_digest(one.py_func, {"nogil": True})
    monkeypatch.setitem(globals(), "NUMBER", 4)
    assert digest(one.py_func) != first
    monkeypatch.setitem(globals(), "NUMBER", 3.0)
    assert digest(one.py_func) not in (first, None), "an integer and a float compile to different code"


@pytest.mark.parametrize("size", [1, 100, 200, 300, 40_000])
def test_digest_covers_all_globals_and_no_attributes(size: int) -> None:
    # The instructions of many names need extended arguments.
    names = [f"value_{index}" for index in range(size)]
    space: dict[str, Any] = {"__name__": __name__, "field": 1} | dict.fromkeys(names, 1)
    exec("\n".join(["def f(x):", "    x = x.field", *(f"    x += {name}" for name in names)]), space)
    first = digest(space["f"])
    space["field"] = 2
    assert digest(space["f"]) == first
    for name in (names[0], names[size // 2], names[-1]):
        space[name] = 2
        assert digest(space["f"]) not in (first, None)
        space[name] = 1
    assert digest(space["f"]) == first


def test_edits_after_import_do_not_change_digest() -> None:
    # A long-running process compiles late: what it stores must not pass for the file's new text. The bytecode
    # tells the two apart.
    def version(text: str) -> Any:
        space: dict[str, Any] = {"__name__": __name__}
        exec(text, space)
        return space["f"]

    assert digest(version("def f(x): return x + 1")) == digest(version("def f(x): return x + 1"))
    assert digest(version("def f(x): return x + 1")) != digest(version("def f(x): return x + 2"))
    assert digest(version("def f(x): return x + 1")) != digest(version("def f(x): return x - 1"))
    assert digest(version("def f(x): return [i + x for i in x]")) != digest(
        version("def f(x): return [i - x for i in x]")
    )


def test_closures_and_unknown_globals_are_not_cached() -> None:
    captured = 2

    def closure(x):
        return x + captured

    assert digest(closure) is None
    unknown: dict[str, Any] = {"__name__": __name__, "thing": object()}
    exec("def f(x): return thing", unknown)
    assert digest(unknown["f"]) is None


def test_nested_kernel_without_closure_is_cached() -> None:
    # By name alone two such kernels could not be distinguished.
    def make(sign: int) -> Any:
        if sign > 0:

            def f(x):
                return x + 1

        else:

            def f(x):
                return x - 1

        return f

    assert digest(make(1)) not in (None, digest(make(-1)))


# --- The directory ---


@pytest.fixture
def fresh_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A separate cache. The process's state of a directory is cleared before and after."""
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    kernel_directory.cache_clear()
    yield tmp_path / "cache"
    kernel_directory.cache_clear()


def one_warning(match: str) -> None:
    """A missing directory causes one warning, and kernels work without it."""
    with pytest.warns(zoo.ZooWarning, match=match) as caught:
        assert kernel_directory() is None
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("compiled kernels are not cached, every process compiles again: ")
    assert message.endswith("set ZOO_CACHE_DIR to a directory of your own.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel_directory() is None

        @zoo.njit
        def plus(x):
            return x + 1

        assert plus(1) == 2
    assert cached_files() == []


def test_environment_variable_sets_directory(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_directory() == fresh_directory
    assert kernel_directory() == fresh_directory / "kernels"
    monkeypatch.setenv("ZOO_CACHE_DIR", "")
    assert cache_directory().name == "zoo", "empty means the user's own"


def test_directory_that_cannot_be_created(fresh_directory: Path) -> None:
    fresh_directory.write_text("a file", encoding="utf-8")
    one_warning("it cannot be created")


def test_directory_that_cannot_be_written(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_dir.os, "access", lambda path, mode: False)
    one_warning("it cannot be read and written")


posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows keeps profiles apart itself")


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o720])
def test_directory_that_others_may_write_to(mode: int, fresh_directory: Path) -> None:
    (fresh_directory / "kernels").mkdir(parents=True)
    (fresh_directory / "kernels").chmod(mode)
    one_warning("others may write to it")


@posix
def test_directory_of_another_user(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.getuid()
    monkeypatch.setattr(cache_dir.os, "getuid", lambda: mine + 1)
    one_warning("it belongs to another user")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "cut in its digest": lambda data: data[:20],
    "cut at the end": lambda data: data[:-1],
    "cut in half": lambda data: data[: len(data) // 2],
    "one bit flipped": lambda data: data[:500] + bytes([data[500] ^ 4]) + data[501:],
    "digest flipped": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "another pickle": lambda data: b"cos\n_exit\n(I3\ntR.",
    "longer": lambda data: data + b"\0",
}


def counts(kernel: Any) -> tuple[int, int]:
    """Hits and misses of the cache."""
    stats = kernel.dispatcher.stats
    return sum(stats.cache_hits.values()), sum(stats.cache_misses.values())


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_removed_and_rebuilt(damage: str, fresh_directory: Path) -> None:
    def counts_of_new_kernel() -> tuple[int, int]:
        kernel = zoo.njit(one.py_func)  # as a new process: nothing is loaded yet
        assert kernel(1) == 4
        return counts(kernel)

    assert (counts_of_new_kernel(), counts_of_new_kernel()) == ((0, 1), (1, 0))
    (file,) = cached_files()
    assert file.name in cache_dir.WRITTEN
    whole = file.read_bytes()
    file.write_bytes(DAMAGES[damage](whole))
    assert (counts_of_new_kernel(), counts_of_new_kernel()) == ((0, 1), (1, 0))
    assert cached_files() == [file]


def test_damaged_file_that_cannot_be_removed(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo.njit(one.py_func)(1)
    (file,) = cached_files()
    file.write_bytes(b"")

    def held(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "another process has it open")

    monkeypatch.setattr(Path, "unlink", held)
    assert zoo.njit(one.py_func)(1) == 4


def test_closures_run_and_leave_no_file(fresh_directory: Path) -> None:
    for captured in (2, 3):
        adding = zoo.njit(lambda x, value=captured: x + value)
        closed = (lambda value: zoo.njit(lambda x: x + value))(captured)
        assert (adding(1), closed(1)) == (1 + captured, 1 + captured)
    assert len(cached_files()) == 2, "a default is an argument, with its value in the signature"


def test_full_disk_only_skips_the_file(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.kernels.cache_dir.tempfile.mkstemp", full)

    @zoo.njit
    def plus_two(x):
        return x + 2

    written = set(cache_dir.WRITTEN)
    assert plus_two(1) == 3
    assert cached_files() == []
    assert written == cache_dir.WRITTEN


def test_failed_write_leaves_no_file(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Path, target: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", broken)

    @zoo.njit
    def plus_three(x):
        return x + 3

    assert plus_three(1) == 4
    assert list((fresh_directory / "kernels").iterdir()) == []


@pytest.mark.skipif(not HAS_LOCKS, reason="this system has no such locks")
def test_kernels_are_locked_only_while_they_are_compiled(fresh_directory: Path) -> None:
    code = "import fcntl, sys\nfcntl.lockf(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"

    def is_locked() -> bool:
        """Whether another process finds a locked kernel."""
        command = [sys.executable, "-c", code, str(fresh_directory / "kernels.lock")]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0

    @zoo.njit
    def plus_five(x):
        return x + 5

    @zoo.njit
    def has_no_type(x):
        return plus_five(x) + x.missing

    with pytest.raises(numba.TypingError):
        has_no_type(1)
    assert plus_five(1) == 6
    assert not is_locked()
    path = fresh_directory / "kernels" / "some.kernel"
    lock_kernel(path)
    assert is_locked()
    unlock_kernel(path)
    assert not is_locked()


def test_cache_lists_and_clears_files(fresh_directory: Path) -> None:
    assert cached_files() == []
    assert clear_cache() == 0, "there need not even be a directory"

    @zoo.njit
    def plus_four(x):
        return x + 4

    plus_four(1)
    plus_four(1.0)
    files = cached_files()
    assert len(files) == 2
    assert {file.name for file in files} <= cache_dir.WRITTEN
    assert all(file.name.startswith("plus_four-") for file in files)
    (fresh_directory / "kernels" / "left.tmp").write_bytes(b"half")
    (fresh_directory / "kernels" / "mine.txt").write_bytes(b"kept")
    assert clear_cache() == 2
    assert [file.name for file in (fresh_directory / "kernels").iterdir()] == ["mine.txt"]
    assert plus_four(2) == 6, "what is loaded goes on working"


def _fill(directory: Path, count: int) -> list[Path]:
    """Kernels of 1 MB, the oldest first."""
    directory.mkdir(parents=True, mode=0o700)
    files = [directory / f"f-{number}.kernel" for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(bytes(10**6))
        os.utime(file, (number, number))
    return files


def test_least_recently_used_files_are_removed_above_the_limit(fresh_directory: Path) -> None:
    files = _fill(fresh_directory / "kernels", 10)
    (fresh_directory / "kernels" / "mine.txt").write_bytes(bytes(10**7))
    assert read_owned_file(files[0]), "a use: it is the newest file now"
    assert remove_old_files(fresh_directory / "kernels", 10 * 10**6) == 0
    assert remove_old_files(fresh_directory / "kernels", 8 * 10**6) == 3  # down to 90 % of the limit
    assert cached_files() == [files[0], *files[4:]]
    assert (fresh_directory / "kernels" / "mine.txt").exists()


def test_temporary_files_of_killed_processes_are_removed(fresh_directory: Path) -> None:
    old, new = (fresh_directory / "kernels" / name for name in ("old.tmp", "new.tmp"))
    files = _fill(fresh_directory / "kernels", 1)
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert remove_old_files(fresh_directory / "kernels", 10**9) == 1
    assert not old.exists()
    assert new.exists(), "its process may be writing"
    assert cached_files() == files


def test_process_that_compiles_limits_the_cache(fresh_directory: Path, forked_python: str) -> None:
    files = _fill(fresh_directory / "kernels", 4)
    code = "import zoo\n@zoo.njit\ndef f(x):\n    return x\nf(1)"
    script = fresh_directory / "f.py"
    script.write_text(code)
    env = {**os.environ, "ZOO_CACHE_DIR": str(fresh_directory), "ZOO_CACHE_MB": "3"}
    subprocess.run([forked_python, str(script)], env=env, check=True)
    kept = set(cached_files())
    assert not {files[0], files[1]} & kept
    assert len(kept) == 3, "two old ones and the new one"


def test_processes_may_remove_the_same_files(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _fill(fresh_directory / "kernels", 4)
    lstat = Path.lstat

    def removed_meanwhile(path: Path) -> os.stat_result:
        files[1].unlink(missing_ok=True)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", removed_meanwhile)
    assert remove_old_files(fresh_directory / "kernels", 2 * 10**6) == 2
    assert cached_files() == [files[3]]


@pytest.mark.parametrize(("text", "limit"), [("", 1000), ("5", 5), ("0", 0)])
def test_environment_variable_sets_the_limit(text: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_MB", text)
    assert cache_limit() == limit * 10**6


@pytest.mark.parametrize("text", ["2GB", "-1", "1.5"])
def test_invalid_limit_is_reported(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_MB", text)
    with pytest.warns(zoo.ZooWarning, match=f"ZOO_CACHE_MB is '{text}'; expected an integer"):
        assert cache_limit() == 1000 * 10**6


def test_function_without_digest_is_not_cached() -> None:
    class Dispatcher:
        def __init__(self, function: Any) -> None:
            self.py_func = function
            self._cache = None

    captured = 1
    dispatcher = Dispatcher(lambda x: x + captured)
    attach_cache(dispatcher, {})
    assert dispatcher._cache is None


# --- What others could change ---


def reload(kernel: Any) -> tuple[int, int]:
    """Hits and misses of a kernel that is called as in a new process."""
    reloaded = zoo.njit(kernel.py_func)
    assert reloaded(1) == 4
    return counts(reloaded)


def forge(file: Path, data: bytes) -> None:
    """Put something into a file whose digest is right."""
    cache_dir.write_checked(file, data)


class Missing:
    """A class that does not exist when its pickle is read."""


def with_lost_name(data: bytes) -> bytes:
    return pickle.dumps(Missing()).replace(b"Missing", b"Neither")


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "no pickle": lambda data: b"garbage",
    "None": lambda data: pickle.dumps(None),
    "a tuple": lambda data: pickle.dumps((1, 2, 3)),
    "an attribute that is gone": with_lost_name,
    "an empty file": lambda data: b"",
    "half a pickle": lambda data: data[: len(data) // 2],
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_content_with_valid_digest_is_rebuilt(forgery: str, fresh_directory: Path) -> None:
    reload(one)
    (file,) = cached_files()
    forge(file, FORGERIES[forgery](file.read_bytes()[32:]))
    assert (reload(one), reload(one)) == ((0, 1), (1, 0))
    assert cached_files() == [file]


@zoo.njit
def other(x):
    return x + 40


def test_swapped_files_are_rebuilt(fresh_directory: Path) -> None:
    """Each is whole and has its digest, under the name of the other."""
    one_, other_ = zoo.njit(one.py_func), zoo.njit(other.py_func)
    assert (one_(1), other_(1)) == (4, 41)
    first, second = cached_files()
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    assert (reload(one), reload(one)) == ((0, 1), (1, 0))
    assert zoo.njit(other.py_func)(1) == 41
    assert zoo.njit(other.py_func)(1) == 41
    assert len(cached_files()) == 2


@pytest.mark.parametrize(
    "content", [b"garbage", pickle.dumps(None), pickle.dumps(("name", "object", (b"", b"")))]
)
def test_linked_library_with_wrong_content_is_rebuilt(content: bytes, fresh_directory: Path) -> None:
    written: list[Any] = []

    def make() -> int:
        """The number of compilations so far, after it has been compiled or loaded."""

        def write(module: Any) -> None:
            written.append(module)
            define_answer(module)

        with global_compiler_lock:
            linked_library._load_or_compile("zoo_test_answer", write)
        return len(written)

    assert (make(), make()) == (1, 1)
    forge(*cached_files(), content)
    assert (make(), make()) == (2, 2)


def define_answer(module: Any) -> None:
    """A function without arguments that returns 42."""
    from llvmlite import ir

    function = ir.Function(module, ir.FunctionType(ir.IntType(32), ()), "zoo_test_answer")
    ir.IRBuilder(function.append_basic_block()).ret(ir.Constant(ir.IntType(32), 42))


@posix
def test_file_that_others_may_write_to_is_not_loaded(fresh_directory: Path) -> None:
    reload(one)
    (file,) = cached_files()
    for mode in (0o660, 0o606, 0o666):
        file.chmod(mode)
        assert (reload(one), reload(one)) == ((0, 1), (1, 0)), "and was replaced by one of its own"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@posix
def test_file_of_another_user_is_not_loaded(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it came there after the directory was checked."""
    reload(one)
    mine = os.getuid()
    monkeypatch.setattr(cache_dir.os, "getuid", lambda: mine + 1)
    assert reload(one) == (0, 1)


@posix
def test_link_or_pipe_in_place_of_a_file_is_replaced(fresh_directory: Path, tmp_path: Path) -> None:
    reload(one)
    (file,) = cached_files()
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert (reload(one), reload(one)) == ((0, 1), (1, 0))
    file.unlink()
    os.mkfifo(file)
    assert (reload(one), reload(one)) == ((0, 1), (1, 0))
    assert file.is_file()


@posix
@pytest.mark.parametrize(("mode", "trusted"), [(0o777, False), (0o770, False), (0o1777, True), (0o755, True)])
def test_parent_directory_that_others_may_write_to(mode: int, trusted: bool, fresh_directory: Path) -> None:
    """Another user who may rename the directory could replace it. The sticky bit prevents that."""
    fresh_directory.mkdir()
    fresh_directory.chmod(mode)
    if trusted:
        assert kernel_directory() == fresh_directory / "kernels"
    else:
        one_warning(f"others may write to {fresh_directory}")


@posix
def test_parent_directory_of_another_user(fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = Path.lstat

    def lstat(self: Path) -> Any:
        facts = list(looked_up(self))
        facts[stat.ST_UID] += 1000 * (self == fresh_directory)
        return os.stat_result(facts)

    monkeypatch.setattr(Path, "lstat", lstat)
    one_warning(f"{fresh_directory} belongs to another user")


@posix
def test_new_directories_are_private_with_any_umask(
    tmp_path: Path, fresh_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "some" / "place"))
    before = os.umask(0)
    try:
        assert kernel_directory() == tmp_path / "some" / "place" / "kernels"
    finally:
        os.umask(before)
    for made in ("some", "some/place", "some/place/kernels"):
        assert stat.S_IMODE((tmp_path / made).stat().st_mode) == 0o700


@posix
def test_linked_cache_directory_is_resolved_before_checks(
    tmp_path: Path, fresh_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "link"))
    assert kernel_directory() == tmp_path / "real" / "kernels"

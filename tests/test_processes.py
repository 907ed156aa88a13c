"""Processes that zoo starts import nothing from the working directory, on any version of Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo.bench import bench as benchmark
from zoo.bench.peer_process import PeerProcess
from zoo.comparison.workers import WorkerProcess
from zoo.processes import (
    available_processors,
    describe_exit,
    processor_quota,
    python_command,
    python_environment,
)
from zoo.testing import check_in_child

ROOT = Path(zoo.__file__).parent


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A working directory with a file for every module, which records its import; yields the record."""
    imports, folder = tmp_path / "imports", tmp_path / "here"
    folder.mkdir()
    text = f"open({str(imports)!r}, 'a').write(__name__ + ' ')\n"
    for name in {name.partition(".")[0] for name in [*sys.modules, *sys.stdlib_module_names]}:
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    # As on Python 3.10, which knows no such variable: whatever protects there has to protect here.
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as in a notebook or a console
    return imports


def compare(folder: Path) -> None:
    WorkerProcess(folder).close()


def bench(folder: Path) -> None:
    PeerProcess("zoo", 1).close()


def bench_starts(folder: Path) -> None:
    benchmark._seconds_to_first_step(
        ("vanilla", "float32", "float32"), {**python_environment(), "ZOO_CACHE_DIR": str(folder)}
    )


def check(folder: Path) -> None:
    with pytest.raises(zoo.UsageError, match="unknown sampler"):
        check_in_child("sampler:none_such", timeout=60)


@pytest.mark.parametrize("start", [compare, bench, bench_starts, check])
def test_children_import_nothing_from_working_directory(start, trap, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "_SCRIPT", "import zoo, numpy, json; print('done', flush=True)")
    start(tmp_path)
    assert not trap.exists(), trap.read_text(encoding="utf-8")


def test_trap_catches_unprotected_process(trap):
    """Without the helper the modules of the working directory are imported."""
    subprocess.run([sys.executable, "-c", "import numpy"], env=python_environment(), check=False)
    first = "linecache" if sys.version_info >= (3, 13) else "numpy"
    assert trap.read_text(encoding="utf-8").startswith(f"{first} ")


def test_all_child_processes_use_python_command():
    files = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")
    }
    starting = {name for name, text in files.items() if "sys.executable" in text}
    assert starting == {"processes.py", "cli/commands/doctor.py"}, "the second only shows it"
    assert python_command("pass", "-x")[-1] == "-x"
    assert python_command("pass", python="other")[:2] == ["other", "-c"]  # whose version is unknown


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_describe_exit():
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal 9 (Killed)"


def write_files(root: Path, **texts: str) -> Path:
    for name, text in texts.items():
        file = root / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


GROUP = "proc__self__cgroup"
V2, V1 = "sys__fs__cgroup__", "sys__fs__cgroup__cpu,cpuacct__"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, None, id="no control groups"),
        pytest.param({GROUP: "0::/"}, None, id="no files"),
        pytest.param({GROUP: "0::/", f"{V2}cpu_DOT_max": "max 100000\n"}, None, id="no limit"),
        pytest.param({GROUP: "0::/", f"{V2}cpu_DOT_max": "200000 100000\n"}, 2, id="version 2"),
        pytest.param({GROUP: "0::/", f"{V2}cpu_DOT_max": "1000 100000\n"}, 1, id="rounded up"),
        pytest.param(
            {
                GROUP: "0::/a/b\n",
                f"{V2}a__cpu_DOT_max": "150000 100000",
                f"{V2}a__b__cpu_DOT_max": "400000 100000",
                f"{V2}c__cpu_DOT_max": "100000 100000",
            },
            2,
            id="parent",
        ),
        pytest.param(
            {
                GROUP: "3:cpuset:/\n2:cpu,cpuacct:/a:b\n0::/\n",
                f"{V1}a:b__cpu_DOT_cfs_quota_us": "300000",
                f"{V1}a:b__cpu_DOT_cfs_period_us": "100000",
                f"{V1}cpu_DOT_cfs_quota_us": "-1",
                f"{V1}cpu_DOT_cfs_period_us": "100000",
            },
            3,
            id="version 1",
        ),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="a colon in a file name")
def test_control_groups_limit_the_processors(files: dict[str, str], expected: int | None, tmp_path: Path):
    quota = processor_quota(write_files(tmp_path, **files))
    assert quota == expected if expected else quota > 10**6


def test_there_are_no_more_processors_than_the_quota():
    assert 1 <= available_processors() <= processor_quota()

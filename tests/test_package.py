"""The distribution: what is in it, and that the gate runs what the README says."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import zoo
from zoo import installation

ROOT = Path(zoo.__file__).parents[1]
PACKAGES = (
    "zoo",
    "zoo_blocks",
    "zoo_cells",
    "zoo_constraints",
    "zoo_modifiers",
    "zoo_optimizers",
    "zoo_penalties",
    "zoo_samplers",
    "zoo_tasks",
    "zoo_trackers",
)
SOURCES = {".py", ".js", ".css", ".html", ".template"}

if not (ROOT / "pyproject.toml").exists():
    pytest.skip("needs the source tree", allow_module_level=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An sdist, and the wheel that was built from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def test_wheel_holds_every_module_of_every_package(built):
    names = set(zipfile.ZipFile(built[1]).namelist())
    for package in PACKAGES:
        home = ROOT if package == "zoo" else ROOT / "plugins"
        files = [path for path in (home / package).rglob("*.*") if path.suffix in SOURCES]
        expected = {path.relative_to(home).as_posix() for path in files}
        assert expected <= names, f"missing: {sorted(expected - names)}"
        assert f"{package}/py.typed" in names


def test_wheel_holds_nothing_else(built):
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(built[1]).namelist()}
    assert tops == {*PACKAGES, f"recurrent_zoo-{zoo.__version__}.dist-info"}


def test_wheel_has_a_licence_and_the_entry_points(built):
    wheel = zipfile.ZipFile(built[1])
    info = f"recurrent_zoo-{zoo.__version__}.dist-info"
    assert "Apache License" in wheel.read(f"{info}/licenses/LICENSE").decode()
    points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "zoo = zoo.cli:main" in points
    assert "vanilla = zoo_cells.classic.vanilla" in points


def test_sdist_can_be_tested(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "tests/conftest.py", "docs/tutorial.md", "plugins/zoo_cells/py.typed"} <= names


def test_wheel_works_without_checkout(built, tmp_path):
    """Install into a separate folder and import from elsewhere; `-P` hides this checkout."""
    target = tmp_path / "installed"
    zipfile.ZipFile(built[1]).extractall(target)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import zoo; assert zoo.__file__.startswith(sys.argv[1]);"
        "print(zoo.list_cells(), zoo.list_samplers('top*'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "vanilla" in done.stdout
    assert "'top_k', 'top_p'" in done.stdout


def test_ci_runs_command_of_readme():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    tests = [line for line in lines if line.startswith("python3 -m venv") and line.endswith("pytest")]
    assert len(tests) == 1, "the README gives one line that passes the tests"
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in gate
    assert tests[0] not in gate, "the gate reads the line from the README; a copy would drift"


def test_citation_and_links_agree_with_installation() -> None:
    """The name, year, version and address are written once for pip, once for readers and once in zoo."""
    cff = dict(re.findall(r'^([a-z-]+): "?(.*?)"?$', (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    entry = installation.citation(zoo.__version__)
    assert cff["version"] == zoo.__version__
    assert f"{{{cff['title']}}}" in entry
    assert cff.get("repository-code", "") == installation.REPOSITORY
    metadata = importlib.metadata.metadata(installation.DISTRIBUTION)
    urls = dict(link.split(", ") for link in metadata.get_all("Project-URL") or [])
    assert urls.get("Repository", "") == installation.REPOSITORY


def test_pip_finds_installed_zoo_for_an_extra() -> None:
    """The hint holds while zoo is on no index; ``--no-index`` keeps pip from looking for a newer zoo."""
    requirement = installation.install_hint("testing").split("'")[1]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"Requirement already satisfied: {requirement}" in done.stdout

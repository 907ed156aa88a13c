"""The tutorial's plugin: its equations, its gradient, and its way from source tree to ``zoo cells``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo.kernels import pure_python
from zoo.registry import load_cell_file
from zoo.testing.laws import CELL_CHECKS

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "zoo-leaky"


@pytest.fixture(scope="module")
def leaky():
    return load_cell_file(f"{EXAMPLE / 'zoo_leaky.py'}:Leaky")


def problem(tokens, *, steps=5, batch=3, inputs=4, hidden=6):
    rng = np.random.default_rng(7)
    params = tuple(
        rng.standard_normal(shape) / 2 for shape in [(inputs, hidden), (hidden, hidden), (hidden,)]
    )
    x = rng.integers(0, inputs, (steps, batch)) if tokens else rng.standard_normal((steps, batch, inputs))
    return params, x, rng.standard_normal((batch, hidden)), rng.standard_normal((steps, batch, hidden))


def unrolled(params, x, h, leak):
    """The equation, literally."""
    Wxh, Whh, bh = params
    for now in x:
        drive = Wxh[now] if x.ndim == 2 else now @ Wxh
        h = (1 - leak) * h + leak * np.tanh(drive + h @ Whh + bh)
        yield h


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("leak", [0.0, 0.3, 1.0])
def test_forward_is_the_equation(leaky, tokens, leak):
    params, x, h, _ = problem(tokens)
    with pure_python():
        y, (last,), _ = leaky.kernel("forward")(params, x, (h,), leak)
    expected = np.array(list(unrolled(params, x, h, leak)))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(last, y[-1])


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("leak", [0.3, 1.0])
def test_backward_is_the_gradient(leaky, tokens, leak):
    params, x, h, dy = problem(tokens)
    dlast = np.random.default_rng(8).standard_normal(h.shape)

    def value():
        states = np.array(list(unrolled(params, x, h, leak)))
        return (states * dy).sum() + (states[-1] * dlast).sum()

    with pure_python():
        _, _, tape = leaky.kernel("forward")(params, x, (h,), leak)
        dx, (dh,), dparams = leaky.kernel("backward")(params, x, (h,), tape, dy, (dlast,), leak)
    pairs = [*zip(params, dparams, strict=True), (h, dh), *([] if tokens else [(x, dx)])]
    for array, gradient in pairs:
        np.testing.assert_allclose(gradient, differences(value, array), rtol=1e-6, atol=1e-7)


def differences(value, array, step=1e-6):
    """Central differences of ``value()`` with respect to an array that it reads."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = value()
        array[index] = kept - step
        gradient[index] = (above - value()) / (2 * step)
        array[index] = kept
    return gradient


def run(*command, **environ):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environ, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the plugin's wheel was installed, and nothing else."""
    folder = tmp_path_factory.mktemp("plugin")
    source, dist, target = folder / "zoo-leaky", folder / "dist", folder / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(source))
    (wheel,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--target", str(target), str(wheel))
    return target


def test_package_is_built_installed_and_discovered(installed):
    script = (
        "import zoo, zoo.registry\n"
        "(record,) = [r for r in zoo.registry.plugins() if r.distribution == 'zoo-leaky']\n"
        "print(record, record.status, *record.provides)\n"
        "print(zoo.list_cells('leaky/*'), zoo.get_cell('leaky', leak=0.1))\n"
    )
    assert run(sys.executable, "-c", script, PYTHONPATH=str(installed)).splitlines() == [
        "zoo-leaky 0.1.0 (entry point 'leaky') loaded cell leaky",
        "['leaky'] Leaky(leak=0.1)",
    ]
    assert sorted(path.name for path in installed.glob("*.py")) == ["zoo_leaky.py"]


def test_installed_package_passes_its_own_tests(installed, tmp_path):
    """Every law, as a third party runs them: from a folder of its own, on the installed module."""
    shutil.copy(EXAMPLE / "test_zoo_leaky.py", tmp_path)
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    printed = run(sys.executable, "-m", "pytest", *options, str(tmp_path), PYTHONPATH=str(installed))
    # Every law at two settings, and one test of its own. The cell has neither a step nor needs_dx.
    passed = 2 * (len(CELL_CHECKS) - 2) + 1
    assert f"{passed} passed, 4 skipped" in printed, printed

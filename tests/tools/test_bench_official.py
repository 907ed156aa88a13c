"""Functions of authors in training steps: loaded from a file, compared with zoo, and measured."""

from __future__ import annotations

import subprocess

import pytest

pytest.importorskip("torch", reason="needs the extra `torch`")

import bench_official
from bench_official import FLA, STEPS, load_function, rows

from zoo import kernels
from zoo.bench.settings import Shape

SOURCE = """\
import torch
import compiled_kernels_that_do_not_exist
from triton.language import dot


def naive_recurrent_gla(q, k, v, gk):
    S, outputs = 0.0, []
    for t in range(q.shape[1]):
        S = S * gk[:, t].exp()[..., None] + k[:, t][..., None] * v[:, t][..., None, :]
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S) * FACTOR)
    return torch.stack(outputs, 1), None
"""


@pytest.fixture
def clones(tmp_path, monkeypatch):
    """A directory with a clone that has the file of one cell, whose function is right or wrong."""
    (step,) = [step for step in STEPS if step.cell == "gla"]
    monkeypatch.setattr(bench_official, "STEPS", (step,))

    def make(factor):
        path = tmp_path / FLA / step.path
        path.parent.mkdir(parents=True)
        path.write_text(SOURCE.replace("FACTOR", factor), encoding="utf-8")
        return tmp_path

    modules = dict(bench_official.sys.modules)
    yield make
    for name in set(bench_official.sys.modules) - set(modules):
        if name.split(".")[0] in ("fla", "triton", "compiled_kernels_that_do_not_exist"):
            del bench_official.sys.modules[name]


def test_right_function_is_measured(clones):
    with kernels.pure_python():
        of_zoo, eager, official = rows(Shape(5, 2, 8), clones("q.shape[-1] ** -0.5"), 1)
    assert of_zoo[:2] == ("`gla`", "zoo")
    assert eager[:3] == ("`gla`", "`torch.eager`", "loop")
    assert official[1:3] == ("`naive_recurrent_gla`, fla-org/flash-linear-attention", "loop")
    assert float(official[3]) > 0


def test_wrong_function_is_an_error(clones):
    with kernels.pure_python(), pytest.raises(AssertionError, match="gla, naive_recurrent_gla: its"):
        list(rows(Shape(5, 2, 8), clones("0.1 + q[:, :1].mean()"), 1))


def test_functions_are_loaded_without_their_packages(clones):
    folder = clones("1.0")
    (step,) = bench_official.STEPS
    (folder / FLA / "fla" / "__init__.py").write_text("raise ImportError", encoding="utf-8")
    assert load_function(step, folder).__name__ == "naive_recurrent_gla"


def test_revision_is_the_commit(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    assert len(bench_official.revision(tmp_path)) >= 7

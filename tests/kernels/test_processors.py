"""The same kernels for other processors: each process gives LLVM the name and features of one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")

# What kernels compute, and how many numbers one instruction of the product holds.
PROGRAM = """
import re
import sys

import numba
import numpy as np

import zoo
from zoo import kernels
from zoo.kernels.gemm_library import gemm_library
from zoo.kernels.gemm_microkernel import tile_shape
from zoo.kernels.processor import lanes

@zoo.njit
def elementary(x, y):
    for i in range(x.size):
        y[0, i] = kernels.exp(x[i])
        y[1, i] = kernels.tanh(x[i])
        y[2, i] = kernels.sigmoid(x[i])
        y[3, i] = kernels.softplus(x[i])
        y[4, i] = kernels.log(abs(x[i]))

results = {}
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    x = np.linspace(-20, 20, 1000, dtype=dtype)
    y = np.empty((5, x.size), dtype)
    elementary(x, y)
    results[f"elementary {dtype}"] = y
    a, w, c = (rng.normal(size=shape).astype(dtype) for shape in ((7, 33), (33, 53), (7, 53)))
    kernels.add_matmul(a, kernels.pack(w), c)
    kernels.add_matmul_ta(a, c, w)
    results[f"product {dtype}"], results[f"outer {dtype}"] = c, w
    eps = np.finfo(dtype).eps
    for rows, depth, width in [(1, 1, 1), (7, 13, 17), (16, 40, 64), (11, 5, 70), (3, 6, 200), (2, 9, 85)]:
        a, w = rng.normal(size=(rows, depth)).astype(dtype), rng.normal(size=(depth, width)).astype(dtype)
        c, dw = np.zeros((rows, width), dtype), np.zeros((depth, width), dtype)
        kernels.add_matmul(a, kernels.pack(w), c)
        np.testing.assert_allclose(c, a @ w, rtol=0, atol=200 * eps)
        kernels.add_matmul_ta(a, c, dw)
        np.testing.assert_allclose(dw, a.T @ c, rtol=0, atol=2000 * eps)
results["tiles"] = lanes(numba.float32), lanes(numba.float64), tile_shape().height
layer = zoo.Recurrent("vanilla", input_size=9, hidden_size=37)
output, _ = layer.forward(rng.integers(0, 9, (6, 5)).astype(np.int32))
layer.backward(np.cos(output))
results["output"], results["gradient"] = output, layer.grad

# Compiled in this process: Numba shows no code that it has loaded from a file.
assembly = gemm_library(numba.float64).get_asm_str()
registers = re.findall(r"\\bv?(?:fmadd\\d+|mul)pd\\s.*%([xyz])mm", assembly)
results["lanes"] = max(({"x": 2, "y": 4, "z": 8}[register] for register in registers), default=0)
np.savez(sys.argv[1], **results)
"""


def run(folder: Path, name: str, **processor: str):
    """Run the program for a processor and return its arrays."""
    file = folder / f"{name}.npz"
    environment = {**os.environ, "ZOO_CACHE_DIR": str(folder / name), **processor}
    subprocess.run([sys.executable, "-c", PROGRAM, str(file)], env=environment, check=True, timeout=300)
    with np.load(file) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def generic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generic")
    return run(folder, "generic", NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")


def has_avx2() -> bool:
    import llvmlite.binding as llvm

    return bool(llvm.get_host_cpu_features().get("avx2")) and bool(llvm.get_host_cpu_features().get("fma"))


@pytest.fixture(scope="module")
def haswell(tmp_path_factory):
    if not has_avx2():
        pytest.skip("this processor has no AVX2")
    # Named too: without, Numba takes those of this machine, which may be more.
    features = "+avx,+avx2,+fma"
    folder = tmp_path_factory.mktemp("haswell")
    return run(folder, "haswell", NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=features)


@x86
def test_unknown_processor_gets_two_lanes_of_float64(generic) -> None:
    assert generic["lanes"] == 2


def test_avx2_gets_four_lanes_of_float64(haswell) -> None:
    assert haswell["lanes"] == 4


def test_products_of_the_plainest_processor_equal_numpy(generic) -> None:
    """It has narrow vectors and no fused products. The program compares them."""
    assert generic["tiles"].tolist() == [4, 2, 2], "lanes of both dtypes, and rows of the tallest tile"


def test_products_of_a_processor_with_avx2_equal_numpy(haswell) -> None:
    assert haswell["tiles"].tolist() == [8, 4, 6]


def test_results_agree_across_processors(generic, haswell) -> None:
    # To rounding: one multiplies and adds in one go, the other rounds in between, and sums are cut otherwise.
    for name in set(generic) - {"lanes", "tiles"}:
        tolerance = 2e-6 if generic[name].dtype == np.float32 else 1e-14
        scale = np.abs(generic[name]).max() if "elementary" not in name else np.abs(generic[name])
        assert (np.abs(generic[name] - haswell[name]) <= tolerance * scale).all(), name


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="this machine has nothing wider than float64")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elementary_accuracy_without_fma(generic, dtype: str) -> None:
    x = np.linspace(-20, 20, 1000, dtype=dtype).astype(np.longdouble)
    exact = [np.exp(x), np.tanh(x), 1 / (1 + np.exp(-x)), np.log1p(np.exp(x)), np.log(np.abs(x))]
    for result, expected in zip(generic[f"elementary {dtype}"], exact, strict=True):
        units = np.abs(result - expected) / np.spacing(np.abs(expected).astype(dtype))
        assert units.max() < 4


# Only compiled, so that this processor need not have these vectors.
WIDEST_VECTORS = """
import re

import numba

import zoo
from zoo import kernels

@zoo.njit
def several(x, y):  # LLVM calls a long function, instead of inlining it, if there are several calls
    for n in range(4):
        long(x, y)
    long(y, x)
    long(x, x)
    long(y, y)

@zoo.njit
def long(x, y):
    for i in range(x.size):
        y[i] = kernels.tanh(kernels.exp(x[i])) * kernels.sigmoid(y[i])
        y[i] += kernels.log(x[i]) * kernels.softplus(y[i])

array = numba.float32[::1]
several.dispatcher.compile((array, array))
(code,) = several.dispatcher.inspect_asm().values()
print(*sorted(set(re.findall(r"vfmadd\\d+ps\\s.*%([xyz])mm", code))))
"""

AVX2 = "+avx,+avx2,+fma"
AVX512 = f"{AVX2},+avx512f,+avx512vl,+avx512bw,+avx512dq"


@x86
@pytest.mark.parametrize(
    ("name", "features", "registers"),
    [("haswell", AVX2, "y"), ("sapphirerapids", AVX512, "z")],
)
def test_loops_have_the_widest_vectors(tmp_path: Path, name: str, features: str, registers: str) -> None:
    processor = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    environment = {**os.environ, "ZOO_CACHE_DIR": str(tmp_path), **processor}
    words = [sys.executable, "-c", WIDEST_VECTORS]
    shown = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=300)
    assert shown.stdout.split() == [registers]

"""Products on the tiles of AMX, on an emulated processor and, as LLVM's instructions, for a real one."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from zoo.kernels import processor
from zoo.kernels.bf16_pairs import add_products, round_to_bf16

SUPPORT = Path(__file__).parents[1] / "support"

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
needs_bf16 = pytest.mark.skipif(
    not get_host_cpu_features().get("avx512bf16"), reason="the emulation rounds with AVX512-BF16"
)


def run(program: str, cache: Path) -> str:
    variables = {
        **os.environ,
        "ZOO_CACHE_DIR": str(cache),
        "PYTHONPATH": str(SUPPORT),
        "ZOO_COMPILE_PROCESSES": "1",
    }
    words = [sys.executable, "-c", program]
    result = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


PRODUCTS = """
import time
import amx_emulation

amx_emulation.install()

import numpy as np
import zoo
from zoo.kernels import amx_microkernel, bf16, nested_parallelism, pure_python
from zoo.kernels.threadpool import ThreadPool

amx_microkernel.AmxEmitter.min_part = 1  # idle workers compute parts of the smallest products

@zoo.njit
def products(a, w, c, bias):
    rows, columns, gradient = c.copy(), c.copy(), c[:, 1:-1].copy()
    alone, replaced = np.empty_like(gradient), np.empty_like(gradient)
    width = w.shape[1]
    bf16.add_matmul_offset(a, 0, bf16.pack(w), rows, 1, width)
    bf16.set_matmul_offset(a, 0, bf16.pack_transposed(np.ascontiguousarray(w.T)), columns, 1, width)
    bf16.affine(a, bf16.pack(w), bias, alone)
    left = np.ascontiguousarray(a.T)
    bf16.add_matmul_ta(left, w, gradient)
    bf16.add_matmul_ta(left, w, replaced, False)
    return rows, columns, alone, gradient, replaced

def check(rows, depth, width, run):
    rng = np.random.default_rng(rows)
    a, w, c, bias = (
        rng.normal(size=shape).astype(np.float32)
        for shape in ((rows, depth), (depth, width), (rows, width + 2), (width,))
    )
    actual = run(lambda: products(a, w, c, bias))
    with pure_python():
        expected = products.py_func(a, w, c, bias)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32))

def with_idle_worker(work):
    def wait_and_work(_):
        while not nested_parallelism._table[nested_parallelism._IN_SLOTS]:
            time.sleep(0.001)
        return work()
    return pool.run(wait_and_work, 1)

SIZES = [(1, 3, 5), (16, 32, 16), (17, 33, 31), (32, 64, 32), (33, 1, 33), (70, 40, 75), (3, 601, 2)]
SIZES += [(40, 70, 64), (64, 31, 100), (0, 3, 4), (3, 0, 4)]
SIZES += [tuple(np.random.default_rng(n).integers(1, 100, 3)) for n in range(12)]
for sizes in SIZES:
    check(*sizes, lambda work: work())
pool = ThreadPool(1)
nested_parallelism.enable()
for sizes in SIZES[4:8]:
    check(*sizes, with_idle_worker)
pool.close()
threads = len(amx_emulation._tiles)

rng = np.random.default_rng(0)
layer = zoo.Recurrent("gru", 5, 40, threads=1, precision="bf16")
x, dy = rng.normal(size=(4, 18, 5)).astype(np.float32), rng.normal(size=(4, 18, 40)).astype(np.float32)
def gradient(layer):
    output, _ = layer.forward(x)
    layer.backward(dy)
    return output, layer.grad.copy()
actual = gradient(layer)
with pure_python():
    twin = zoo.Recurrent("gru", 5, 40, threads=1, precision="bf16")
    twin.theta[:] = layer.theta
    for one, other in zip(actual, gradient(twin), strict=True):
        assert np.abs(one - other).max() < 1e-5 * np.abs(other).max()  # tanh of NumPy has other last bits
from zoo.bench.peak import flops_per_step, multiply_adds

pair = np.zeros((), np.int32)
before = amx_emulation.COUNTS["tdpbf16ps"]
multiply_adds(pair, 3)
assert amx_emulation.COUNTS["tdpbf16ps"] - before == 12
assert flops_per_step(pair) * 3 == 12 * 16 * 16 * 32 * 2
assert not amx_emulation.FAULTS, amx_emulation.FAULTS[:5]
assert amx_emulation.COUNTS["tdpbf16ps"] > 500
assert amx_emulation.COUNTS["ldtilecfg"] >= amx_emulation.COUNTS["tilerelease"] > 20
print(threads)
"""


@needs_bf16
def test_emulated_tiles_have_the_bits_of_numpy(tmp_path: Path) -> None:
    assert run(PRODUCTS, tmp_path).split() == ["2"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux permits AMX")
@pytest.mark.parametrize("name", ["ENOSPC", "EOPNOTSUPP"])
def test_errors_of_the_request_for_tiles(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    number = getattr(errno, name)

    class Library:
        def syscall(self, *numbers: int) -> int:
            assert numbers == (158, 0x1023, 18)  # arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
            ctypes.set_errno(number)
            return -1

    monkeypatch.setattr(processor.ctypes, "CDLL", lambda *_, **__: Library())
    problem = processor.request_tiles.__wrapped__()
    assert problem in (
        "the signal stack of a thread is too small for the tile registers of AMX",
        f"Linux does not permit AMX ({os.strerror(number)})",
    )
    assert ("signal stack" in problem) == (name == "ENOSPC")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux permits AMX")
def test_linux_permits_tiles_of_this_processor() -> None:
    assert (processor.request_tiles() == "") == bool(get_host_cpu_features().get("amx-tile"))


INSTRUCTIONS = """
import sys
import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from zoo.kernels import gemm_library, processor

real = processor.target_processor()
processor.target_processor = lambda: real._replace(features=real.features | {"+amx-tile", "+amx-bf16"})
module = ir.Module()
gemm_library._define(types.int32, module)
compiled = llvm.parse_assembly(str(module))
compiled.verify()
target = llvm.Target.from_default_triple()
print(target.create_target_machine(cpu="sapphirerapids", opt=3).emit_assembly(compiled))
"""


@needs_bf16
def test_an_iteration_loads_and_multiplies_four_tiles(tmp_path: Path) -> None:
    lines = [line.split() for line in run(INSTRUCTIONS, tmp_path).splitlines()]
    names = [words[0] for words in lines if words]
    products = [n for n, name in enumerate(names) if name == "tdpbf16ps"]
    first, last = products[0], products[3]
    assert last - first == 3  # a product follows a product, without copies of registers
    loads = [name for name in names[first - 6 : first] if name == "tileloadd"]
    assert len(loads) == 4
    assert {"ldtilecfg", "tilezero", "tilestored", "tilerelease"} <= set(names)


def fused(a: float, b: float, c: float) -> np.float32:
    """``a * b + c`` with one rounding: float64 is exact wherever float32 has a tie. Subnormals are zero."""
    return flush(np.float32(np.float64(a) * np.float64(b) + np.float64(c)))


def flush(value: np.floating) -> np.float32:
    number = np.float32(value)
    return number if abs(number) >= np.finfo(np.float32).tiny or np.isnan(number) else number * np.float32(0)


@pytest.mark.parametrize("depth", [1, 2, 31, 32, 33, 70])
@pytest.mark.parametrize("exponent", [0, 63])
def test_order_of_sums_on_tiles(depth: int, exponent: int) -> None:
    rng = np.random.default_rng(depth)
    a, b = (
        round_to_bf16(np.ldexp(rng.normal(size=shape), -exponent).astype(np.float32))
        for shape in ((2, depth), (depth, 3))
    )
    c = np.ldexp(rng.normal(size=(2, 3)), -2 * exponent).astype(np.float32)
    actual = c.copy()
    add_products(a, b, actual, on_tiles=True)
    for m, n in np.ndindex(c.shape):
        total = flush(c[m, n])
        for start in range(0, depth, 32):
            sums = [np.float32(0), np.float32(0)]
            for k in range(start, start + 32):
                operands = (a[m, k], b[k, n]) if k < depth else (0.0, 0.0)
                sums[k % 2] = fused(*operands, sums[k % 2])
            total = flush(total + flush(sums[0] + sums[1]))
        assert actual[m, n].tobytes() == total.tobytes()

"""The multiply-adds that measure the peak."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

from zoo.bench import peak
from zoo.bench.peak import flops_per_step, multiply_adds
from zoo.kernels.processor import lanes, vector_registers


def host_features() -> set[str]:
    return {name for name, has in get_host_cpu_features().items() if has}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("times", [0, 1, 1000])
def test_every_chain_of_multiply_adds_is_computed(dtype, times: int) -> None:
    # Chain n begins at n and is halved and increased by 1/2 in each step.
    operand = np.zeros((), dtype)
    chains = flops_per_step(operand) // (2 * lanes(numba.from_dtype(operand.dtype)))
    assert 10 <= chains < vector_registers()
    assert multiply_adds(operand, times) == chains + chains * (chains - 3) / 2 * 0.5**times


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.skipif("fma" not in host_features(), reason="the processor has no fused multiply-add")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_machine_code_multiplies_in_every_step(dtype) -> None:
    compiled = numba.njit(lambda operand, times: peak._multiply_adds(operand, times))
    operand = np.zeros((), dtype)
    compiled(operand, 1)
    (code,) = compiled.inspect_asm().values()
    chains = flops_per_step(operand) // (2 * lanes(numba.from_dtype(operand.dtype)))
    assert code.count("vfmadd") >= chains

"""The multiply-adds that measure the peak."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from zoo.bench.peak import flops_per_step, multiply_adds
from zoo.kernels.gemm_microkernel import lanes, vector_registers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("times", [0, 1, 1000])
def test_every_chain_of_multiply_adds_is_computed(dtype, times: int) -> None:
    # Chain n begins at n and adds 1/4 in each step.
    operand = np.zeros((), dtype)
    chains = flops_per_step(operand) // (2 * lanes(numba.from_dtype(operand.dtype)))
    assert 10 <= chains < vector_registers()
    assert multiply_adds(operand, times) == chains * (chains - 1) / 2 + chains * times / 4

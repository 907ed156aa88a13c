"""The laws that every cell obeys, and one that only this one does."""

import numpy as np
from zoo_leaky import Leaky

import zoo
import zoo.testing


@zoo.testing.parametrize_cells(Leaky(), Leaky(leak=0.05))
def test_law(cell, check):
    check(cell)


def test_a_leak_of_one_is_the_vanilla_rnn():
    x = np.random.default_rng(0).standard_normal((7, 3, 4)).astype(np.float32)
    leaky = zoo.Recurrent(Leaky(leak=1.0), 4, 5)
    vanilla = zoo.Recurrent("vanilla", 4, 5)
    vanilla.theta[:] = leaky.theta
    np.testing.assert_allclose(leaky.forward(x)[0], vanilla.forward(x)[0], rtol=1e-6, atol=1e-7)

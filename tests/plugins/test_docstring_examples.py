"""The example in the docstrings of cells with a time input."""

from __future__ import annotations

import re
import textwrap

import numpy as np
import pytest

import zoo


def example_of_uneven_time_steps(name: str) -> str:
    """The code of the example in the docstring of a cell."""
    doc = textwrap.dedent(type(zoo.get_cell(name)).__doc__.partition("\n\n")[2])
    (code,) = re.findall(r"Train it with uneven time steps::\n\n((?:    .*\n)+)", doc)
    return textwrap.dedent(code)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("name", ["ctrnn", "cfc", "gru_ode", "ltc"])
def test_example_of_uneven_time_steps_trains(name: str) -> None:
    """For fewer steps and in plain Python, since the kernels compile for 6 to 13 s."""
    code = example_of_uneven_time_steps(name).replace("(20, 64", "(3, 4").replace("epochs=20", "epochs=5")
    names = {"np": np, "zoo": zoo}
    exec(code.replace("loss=", "hidden_size=4, loss=").replace("hidden_size=16, ", ""), names)
    model, x, dt, integral = (names[each] for each in ("model", "x", "dt", "integral"))
    assert (model.cell.name, x.shape) == (name, (3, 4, 1))
    assert model.loss(x, integral, dt=dt)[0] < np.mean(integral**2)

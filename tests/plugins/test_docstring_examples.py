"""The example in the docstrings of cells with a time input."""

from __future__ import annotations

import re
import textwrap

import numpy as np
import pytest

import zoo


@pytest.mark.parametrize("name", ["cfc", "ctrnn", "gru_ode", "ltc"])
def test_example_of_uneven_time_steps_trains(name: str) -> None:
    doc = textwrap.dedent(type(zoo.get_cell(name)).__doc__.partition("\n\n")[2])
    (code,) = re.findall(r"Train it with uneven time steps::\n\n((?:    .*\n)+)", doc)
    names = {"np": np, "zoo": zoo}
    if name == "ltc":  # six unfolds, the default, compile in twice the time
        code = code.replace('"ltc"', 'zoo.get_cell("ltc", unfolds=2)')
    exec(textwrap.dedent(code), names)
    model, x, dt, integral = (names[each] for each in ("model", "x", "dt", "integral"))
    assert model.cell.name == name
    assert model.loss(x, integral, dt=dt)[0] < 0.9 * np.mean(integral**2)

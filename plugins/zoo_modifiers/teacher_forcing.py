"""Generalised teacher forcing: observations pull the state of a cell that has no other input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo


def first_units(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Ones on the diagonal: the unit of each observed variable."""
    variables, units = shape
    if variables > units:
        raise zoo.UsageError(
            f"modifier 'teacher_forcing': the input has {variables} variables and the state has {units} "
            f"{'unit' if units == 1 else 'units'}; raise `hidden_size` (`--hidden`) to {variables} or more, "
            f"because the first units are the variables."
        )
    return np.eye(variables, units)


class TeacherForcing(zoo.Modifier):
    """Generalised teacher forcing: the first units of the state are the observed variables.

    The input x holds the observed variables of a time step. They pull the first units of the first state
    towards themselves before each step, and the output is the prediction of the next ones.

    Equations, where h[:I] are the first units of the first state, one for each observed variable::

        h[:I] = (1 - forcing) * h[:I] + forcing * x    before the step of the cell
        y     = h'[:I]

    ``forcing`` is an auxiliary input between zero and one, ``(T, B)``, and ``alpha`` by default. The gradient
    through the first units shrinks by ``1 - forcing`` in each step, so it stays bounded on a chaotic series
    if the forcing is strong enough. Set it to one at the first step to start from the observation, and to
    zero where no observation exists. Other units and other states of the cell are not forced. Ones at every
    n-th step, and zeros between them, are sparse teacher forcing. A layer that reads its own outputs runs
    freely, because x then equals h[:I]. A model does so if its readout is the identity.

    The cell reads no other input. With ``external=K`` it reads an auxiliary input ``external`` of K numbers
    in place of x.
    """

    name = "teacher_forcing"
    card = zoo.Card(
        title="Generalized Teacher Forcing for Learning Chaotic Dynamics",
        authors="Florian Hess, Zahra Monfared, Manuel Brenner, Daniel Durstewitz",
        year=2023,
        url="https://proceedings.mlr.press/v202/hess23a.html",
        variant="Partial forcing with the identity as observation model, and a constant alpha.",
        deviations="The paper also has affine observation models, whose inverse infers the forced state, and "
        "estimates alpha from Jacobians during training. Here alpha is constant unless you pass the "
        "auxiliary input. Units without an observation start at zero, where the official code computes them "
        "from the first observation.",
        when_to_use="Use it to reconstruct a dynamical system from a series of measurements, with "
        "shallow_plrnn, dendritic_plrnn or another cell whose first state has no bounds. Raise alpha if "
        "training diverges, and lower it if the free run leaves the attractor.",
    )
    alpha = zoo.Option(0.1, help="strength of the forcing", low=0.0, high=1.0)
    external = zoo.Option(0, help="size of the external input, 0 for none", low=0)

    def edit(self, spec: Any) -> None:
        """Remove the products with the input or give them the external one, and declare the forcing."""
        name, state = next(iter(spec.states.items()))
        if len(state.shape) != 1 or state.discrete or state.complex:
            raise spec.unsupported(f"its first state {name!r} is not a vector of real numbers")
        if spec.cell.family == "spiking":
            raise spec.unsupported(f"its first state {name!r} holds spikes, which are zero or one")
        if any(each.operand == ("I",) and not each.param for each in spec.matmuls):
            raise spec.unsupported("it computes the matrix of its input from parameters")
        if not spec.has_recurrent_matmul:
            raise spec.unsupported("no matrix of parameters multiplies a state, so its units do not interact")
        arrays = {**spec.params, **spec.buffers}
        cell, *modifiers = spec.cell.name.split("+")
        for other in modifiers:
            own = {name for name in arrays if name.startswith(f"{other}_")}
            if own and own.isdisjoint(spec.arrays_of_states):
                inner = "+".join([cell, *(each for each in modifiers if each != other)])
                raise spec.unsupported(
                    f"the modifier {other!r} changes the output, which teacher forcing replaces; apply it "
                    f"afterwards, '{inner}+{self.name}+{other}'"
                )
        for group in (spec.params, spec.buffers):
            for name in set(group) - spec.arrays_of_states:  # they served the output, which is replaced
                del group[name]
        if self.external:
            size = spec.option("external")
            spec.replace_size("I", size)
            spec.add("external", zoo.Input(size, help="the external input, which the cell reads"))
        else:
            for param in _input_matrices(spec):  # `matmul` gives zeros in place of their products
                del spec.params[param]
        description = "ones where a unit of the state is an observed variable"
        spec.add("first_units", zoo.Buffer("I", state.shape[0].text, init=first_units, help=description))
        help = "strength of the forcing at this step"
        spec.add("forcing", zoo.Input(default=self.alpha, low=0, high=1, help=help))

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """Zeros in place of a product whose matrix was removed."""
        if matmul.param and matmul.param not in ctx.spec.params:
            return np.zeros_like(matrix[:, 0] if matmul.is_left else matrix[0])
        return matmul.multiply(operand, matrix)

    def step(self, ctx: Any, inner_step: Callable[..., Any], x: Any, states: Any) -> Any:
        """Pull the first units towards the observations, and run the step without an input."""
        first, select, forcing = next(iter(states)), ctx["first_units"], ctx["forcing"]
        h = states[first]
        pulled = h + forcing * ((x - h @ select.T) @ select)
        # A constant of zeros is no input, and its products would not reach `matmul`.
        inner_x = ctx["external"] if self.external else 0 * x
        result = inner_step(inner_x, {**states, first: pulled})
        return type(result)(result.states[first] @ select.T, result.states)


def _input_matrices(spec: Any) -> list[str]:
    """The parameters that are read only as matrices of products with the input."""
    others = {each.param for each in spec.matmuls if each.operand != ("I",)} | spec.non_matmul_params
    return [name for name in spec.params if name not in others]


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register teacher forcing."""
    register(TeacherForcing)

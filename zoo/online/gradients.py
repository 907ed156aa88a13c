"""Gradients of a stream that comes in chunks: real-time recurrent learning, and its unbiased estimate.

Back-propagation through time (BPTT) needs the whole past of a stream. Online gradients need the current chunk
of T steps and the *influence*, the derivative ``J = ds / dtheta`` of the S elements of the states before the
chunk with respect to the P parameters of the layers. The gradient of a loss of the chunk is

    dL/dtheta + dL/ds J,

where both derivatives come from BPTT within the chunk. After the chunk, with states ``s'``, it is

    J' = ds'/ds J + ds'/dtheta.

If the parameters do not change, the sum of the gradients of all chunks is the gradient of BPTT over the whole
stream. If an optimizer changes them between chunks, the influence is the one of the parameters of its time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_integer, as_mapping, check_seed, counted
from zoo.array_types import Array, Arrays
from zoo.arrays import as_array
from zoo.errors import UsageError
from zoo.layers.batch import BatchRun
from zoo.layers.functional import Tape
from zoo.layers.parameters import ParameterLayout, Shapes
from zoo.layers.recurrent import Floats, Recurrent
from zoo.layers.stack import Stack
from zoo.layers.states import States, read_only_states
from zoo.layers.tangents import ArgumentTangents
from zoo.layers.validation import as_floats
from zoo.model import Model
from zoo.online.state_groups import advance_blocks, state_groups
from zoo.online.state_vectors import StateVectors

MAX_INFLUENCE = 2**31
"""Largest influence of RTRL, in bytes."""

MAX_ROWS, MAX_PASS = 256, 2**26
"""Rows of a pass that computes the influence, and bytes of its gradients, unless one sequence needs more."""

M = TypeVar("M", Recurrent, Model)


class OnlineGradient(ABC):
    """The base class of online gradients.

    Args:
        model: The layers or the model.

    Attributes:
        model: The layers or the model.
        chunks: Number of chunks so far.
        carry: The states after the last chunk and their influence, by name; None before the first. The next
            chunk overwrites the influence.

    Raises:
        UsageError: if it is neither, reads backwards, has an embedding, or shares the batch with other
            processes.
    """

    name: ClassVar[str]
    """Its name on the command line."""

    def __init__(self, model: Recurrent | Model) -> None:
        _check_model(model, f"zoo.{type(self).__name__}")
        self.model, self.chunks = model, 0
        self.carry: Arrays | None = None
        self._vectors = StateVectors(model.stack)
        self._pending: tuple[Tape, States] | None = None  # of a forward pass without a backward pass
        self._is_partial = False  # whether an exception left a part of the influence of the chunk before

    @classmethod
    @abstractmethod
    def influence_shapes(cls, stack: Stack, batch: int) -> Shapes:
        """Shape of each array of the influence, by a name that no state has.

        Raises:
            UsageError: if the arrays are too large.
        """

    @abstractmethod
    def _gradient(self, influence: Arrays, dstate: Array) -> Array:
        """The gradient ``(P,)`` of the parameters from the gradient of the states, ``dstate (B, S)``."""

    @abstractmethod
    def _advance(self, influence: Arrays, run: BatchRun) -> None:
        """Overwrite the influence with the one after a chunk."""

    @property
    def state(self) -> States | None:
        """The states after the last chunk, read-only; None before the first."""
        if self.carry is None:
            return None
        # Read-only, because the influence belongs to these states.
        return read_only_states({name: self.carry[name] for name in self.model.stack.state_shapes})

    def reset(self) -> None:
        """Begin other streams: the next chunk starts from the initial states, without influence."""
        self.carry, self._pending, self._is_partial = None, None, False

    def forward(self, x: ArrayLike, *, noise: tuple[int, int] | None = None, **inputs: ArrayLike) -> Floats:
        """Run the layers over the next chunk of each stream. :meth:`backward` has to follow.

        Args:
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``, with one B for all chunks.
            noise: As for :meth:`zoo.Recurrent.forward`; give another step for each chunk.
            **inputs: Auxiliary inputs of the cell, ``dt=...`` of shape ``(T, B, ...)``.

        Returns:
            The outputs, ``(T, B, ·)``.

        Raises:
            UsageError: if an argument does not fit, or the last chunk had no backward pass.
        """
        layers = self._expect(Recurrent, "forward", "loss_and_grad")
        owner = self._owner("forward")
        if self._pending is not None:
            raise UsageError(
                f"{owner}: the last chunk had no backward pass; call backward(dy), or backward() for a chunk "
                f"without a loss."
            )
        x = self._check_batch(as_array(x, f"{owner}: inputs"))
        # The tape may look at the arrays, which the caller may change.
        copies: dict[str, Any] = {name: as_array(value, owner).copy() for name, value in inputs.items()}
        y, final, tape = layers.apply(layers.theta, x.copy(), self.state, noise=noise, **copies)
        self._pending = tape, final
        return y

    __call__ = forward

    def backward(self, dy: ArrayLike | None = None, *, needs_dx: bool = True) -> Floats | None:
        """Fill ``grad`` of the layers with the gradient of the chunk's loss, and update the influence.

        Args:
            dy: Gradient with respect to the outputs, ``(T, B, ·)``; None for a chunk without a loss.
            needs_dx: Whether to compute the gradient with respect to x.

        Returns:
            The gradient with respect to x; None if it is not needed, and for tokens.

        Raises:
            UsageError: if no forward pass precedes, the parameters have changed since, or the shape does not
                fit.
        """
        layers = self._expect(Recurrent, "backward", "loss_and_grad")
        if self._pending is None:
            raise UsageError(f"{self._owner('backward')} needs a forward pass; call forward(x) first.")
        tape, final = self._pending
        if tape.theta is not None:
            try:
                tape.theta.check(self._owner("backward"), ("forward", "backward"))
            except UsageError:
                self._pending = None  # so that the chunk can run again
                raise
        if dy is None:
            steps, batch = tape.batch_run.x.shape[:2]
            axes = (batch, steps) if layers.batch_first else (steps, batch)
            dy = np.zeros((*axes, layers.output_size), layers.dtype)
        dx, dstate, dtheta = layers.vjp(tape, dy, needs_dx=needs_dx)
        layers.grad = dtheta
        self._pending = None
        self._finish(tape.batch_run, final, dstate)
        return dx

    def loss_and_grad(
        self,
        inputs: ArrayLike,
        targets: ArrayLike | None,
        weights: ArrayLike | None = None,
        *,
        noise: tuple[int, int] | None = None,
        **aux: ArrayLike,
    ) -> float:
        """The mean loss of a model on the next chunk of each stream, filling ``grad`` of the model.

        Args:
            inputs: As for ``model.loss_and_grad``, with one B for all chunks.
            targets: As for ``model.loss_and_grad``; None for a chunk without a loss, whose gradient is zero.
            weights: As for ``model.loss_and_grad``.
            noise: As for ``model.loss_and_grad``; give another step for each chunk.
            **aux: Auxiliary inputs of the cells, ``(T, B, ...)``.

        Raises:
            UsageError: if an argument does not fit.
        """
        model = self._expect(Model, "loss_and_grad", "forward and backward")
        inputs, state = self._check_batch(as_array(inputs, f"{model.kind}: inputs")), self.state
        run = model.functional.batch_run(model.arrays, inputs, state, noise, None, aux)
        if targets is None:
            _, final = model.outputs(inputs, state=state, noise=noise, **aux)
            model.grad[:] = 0
            self._finish(run, final, {name: np.zeros_like(value) for name, value in final.items()})
            return 0.0
        loss, final, dstate = model.loss_and_state_grad(
            inputs, targets, weights, state=state, noise=noise, **aux
        )
        self._finish(run, final, dstate)
        return loss

    def state_dict(self) -> Arrays:
        """Copies of everything that the next chunk needs, except the parameters, by name."""
        carry = {name: value.copy() for name, value in (self.carry or {}).items()}
        return {"chunks": np.array(self.chunks), **carry}

    def load_state_dict(self, arrays: Mapping[str, ArrayLike]) -> None:
        """Continue from the arrays that :meth:`state_dict` returned.

        Raises:
            UsageError: if they do not fit.
        """
        owner = self._owner("load_state_dict")
        given = {**as_mapping(arrays, owner)}
        count = as_array(given.pop("chunks", None), f"{owner}: chunks")
        chunks = as_integer(count[()], f"{owner}: chunks", 0)
        carry: Arrays | None = None
        if given:
            arrays_given = {name: as_array(value, owner) for name, value in given.items()}
            batch = max(len(value) if value.ndim else 0 for value in arrays_given.values())
            shapes = carry_shapes(self.name, self.model.stack, batch)
            if given.keys() != shapes.keys():
                raise UsageError(f"{owner} got the names {sorted(given)}; expected {sorted(shapes)}.")
            carry = {
                name: as_floats(arrays_given[name], shape, self.model.dtype, f"{owner}: {name}").copy()
                for name, shape in shapes.items()
            }
        self.reset()
        self.chunks, self.carry = chunks, carry

    def _finish(self, run: BatchRun, final: Mapping[str, Array], dstate: Mapping[str, Array]) -> None:
        """Add the gradient by way of the states before the chunk, and carry the influence on."""
        shapes, dtype = self.influence_shapes(self.model.stack, run.batch_size), self.model.dtype
        influence = {
            name: np.zeros(shape, dtype) if self.carry is None else self.carry[name]
            for name, shape in shapes.items()
        }
        gradient = self._gradient(influence, self._vectors.join(dstate))
        self.model.grad[: gradient.size] += gradient
        self._is_partial = True
        self._advance(influence, run)
        self._is_partial = False
        self.carry = {**final, **influence}
        self.chunks += 1

    def _check_batch(self, x: Array) -> Array:
        """Check that a chunk has as many sequences as the ones before, and that the influence is complete."""
        if self._is_partial:
            raise UsageError(
                f"{self._owner('the influence')} is incomplete, because an exception interrupted the last "
                f"chunk; call reset(), or load_state_dict(...)."
            )
        axis = 0 if getattr(self.model, "batch_first", False) else 1
        if self.carry is None and x.ndim > axis:
            self.influence_shapes(self.model.stack, x.shape[axis])  # raises an error if it is too large
        if self.carry is not None and x.ndim > axis:
            batch = len(next(iter(self.carry.values())))
            if x.shape[axis] != batch:
                raise UsageError(
                    f"{self._owner('inputs')} have {x.shape[axis]} sequences, and the chunks before had "
                    f"{batch}; call reset() to begin other streams."
                )
        return x

    def _expect(self, kind: type[M], method: str, other: str) -> M:
        """The layers or the model, whichever a method is for."""
        if not isinstance(self.model, kind):
            raise UsageError(
                f"zoo.{type(self).__name__}: {method} is not for a {self.model.kind}; call {other}."
            )
        return self.model

    def _owner(self, what: str) -> str:
        return f"zoo.{type(self).__name__} of {self.model.stack.label()}: {what}"


class RTRL(OnlineGradient):
    """Exact gradients of a stream: real-time recurrent learning.

    >>> rtrl = zoo.RTRL(rnn)
    >>> for x, target in stream:
    ...     y = rtrl.forward(x)
    ...     rtrl.backward(y - target)
    ...     rnn.theta -= 0.01 * rnn.grad

    R. J. Williams & D. Zipser 1989, https://doi.org/10.1162/neco.1989.1.2.270. A chunk has any number of time
    steps, and back-propagation computes its part of the gradient and of the influence, as in J. Schmidhuber
    1992, https://doi.org/10.1162/neco.1992.4.2.243. The influence is a matrix ``(S, P)`` for each sequence,
    and a chunk takes S backward passes of each. In a layer whose units do not read the states of other units,
    such as ``indrnn`` or ``lru``, it is one number for each parameter and state of a unit, and a chunk takes
    as many backward passes as a unit has states (N. Zucchet et al. 2023, https://arxiv.org/abs/2305.15947).
    The batch has one size B until ``reset``.

    Args:
        model: A ``zoo.Recurrent``, with ``forward`` and ``backward``; or a model, with
            ``loss_and_grad``.

    Raises:
        UsageError: if it is neither, reads backwards, has an embedding, or shares the batch with other
            processes.
    """

    name = "rtrl"

    @classmethod
    def influence_shapes(cls, stack: Stack, batch: int) -> Shapes:
        """As in :class:`OnlineGradient`."""
        groups = state_groups(stack)
        (count, states), params = groups.states.shape, groups.params.shape[1]
        size = batch * count * states * params * stack.config.dtype.itemsize
        if size > MAX_INFLUENCE:
            raise UsageError(
                f"{stack.label()}: the influence of RTRL takes {size / 2**30:,.1f} GiB, for "
                f"{counted(batch, 'sequence')}, {states:,} states and {count * params:,} parameters, more "
                f"than {MAX_INFLUENCE / 2**30:g} GiB; use UORO, or smaller `hidden` or `batch`."
            )
        return {"influence": (batch, count, states, params)}

    def _gradient(self, influence: Arrays, dstate: Array) -> Array:
        groups = state_groups(self.model.stack)
        values = np.einsum("bgc,bgcm->gm", dstate[:, groups.states], influence["influence"])
        return groups.gradient(values)

    def _advance(self, influence: Arrays, run: BatchRun) -> None:
        model, vectors, groups = self.model, self._vectors, state_groups(self.model.stack)
        seeds, matrices = groups.seeds(model.dtype), influence["influence"]
        bytes_per_sequence = len(seeds) * groups.size * model.dtype.itemsize
        sequences = max(1, min(MAX_ROWS // len(seeds), MAX_PASS // bytes_per_sequence))
        for first in range(0, run.batch_size, sequences):
            part = matrices[first : first + sequences]
            rows = np.repeat(np.arange(first, first + len(part)), len(seeds))
            dfinal = vectors.split(np.tile(seeds, (len(part), 1)))
            dinitial, dtheta = model.functional.vjp_by_row(run, rows, dfinal, model.threads)
            state_jacobian = groups.state_blocks(vectors.join(dinitial).reshape(len(part), *seeds.shape))
            param_jacobian = groups.param_blocks(dtheta.reshape(len(part), len(seeds), -1))
            advance_blocks(*(_as_matrices(each) for each in (state_jacobian, part, param_jacobian)))


class UORO(OnlineGradient):
    """Unbiased estimates of the gradients of a stream, in memory for S + P numbers of each sequence.

    C. Tallec & Y. Ollivier 2018, Unbiased online recurrent optimization, https://arxiv.org/abs/1702.05043.
    The influence is the product of two random vectors, and its expectation is the influence of RTRL. A chunk
    takes one Jacobian-vector product and one more backward pass. The batch has one size B until
    ``reset``.

    Args:
        model: A ``zoo.Recurrent``, with ``forward`` and ``backward``; or a model, with
            ``loss_and_grad``.
        seed: Seed of the random signs, which also depend on :attr:`chunks`.

    Raises:
        UsageError: as for :class:`RTRL`, and if a cell has kernels and no step, or there is dropout between
            layers.
    """

    name = "uoro"

    def __init__(self, model: Recurrent | Model, *, seed: int = 0) -> None:
        super().__init__(model)
        self.seed = check_seed(seed)
        if model.stack.dropout:
            raise UsageError(
                f"zoo.UORO of {model.stack.label()}: it has no derivative of `dropout` between layers; leave "
                f"out `dropout`, or use RTRL."
            )
        model.tangents.check(noise=(0, 0))

    @classmethod
    def influence_shapes(cls, stack: Stack, batch: int) -> Shapes:
        """As in :class:`OnlineGradient`."""
        sizes = {"states": StateVectors(stack).size, "params": ParameterLayout(stack.param_shapes).size}
        return {f"influence.{name}": (batch, size) for name, size in sizes.items()}

    def _signs(self, shape: tuple[int, ...]) -> Array:
        """Random signs for this chunk, 1 or -1."""
        rng = np.random.default_rng([self.seed, self.chunks])
        return rng.choice(np.array([-1, 1], self.model.dtype), shape)

    def _gradient(self, influence: Arrays, dstate: Array) -> Array:
        products = np.einsum("bs,bs->b", dstate, influence["influence.states"])
        total: Array = np.einsum("b,bp->p", products, influence["influence.params"])
        return total

    def _advance(self, influence: Arrays, run: BatchRun) -> None:
        model, vectors, aux = self.model, self._vectors, run.aux_inputs
        states, params = influence.values()
        signs = self._signs(states.shape)
        tangents = ArgumentTangents({}, None, vectors.split(states))
        derivative = model.tangents.jvp(
            model.arrays,
            run.x,
            run.state,
            tangents,
            aux.noise_key,
            None,
            aux.given,
            model.threads,
            has_backward=False,
        )
        state_tangent = vectors.join(derivative.state_tangent)
        _, param_gradient = model.functional.vjp_by_row(
            run, np.arange(run.batch_size), vectors.split(signs), model.threads
        )
        # Both terms of each sum then have one size, which makes the variance small.
        old_scale, new_scale = _root_of_ratio(params, state_tangent), _root_of_ratio(param_gradient, signs)
        states[...] = old_scale * state_tangent + new_scale * signs
        params[...] = params / old_scale + param_gradient / new_scale


GRADIENTS: Mapping[str, type[OnlineGradient]] = {each.name: each for each in (RTRL, UORO)}
"""The online gradients by name."""


def online_gradient(name: str, model: Recurrent | Model, seed: int) -> OnlineGradient:
    """The online gradient of a name; ``seed`` is used if it is random.

    Raises:
        UsageError: if the model has none.
    """
    return UORO(model, seed=seed) if name == UORO.name else GRADIENTS[name](model)


def check_layers(stack: Stack, has_embedding: bool, owner: str) -> None:
    """Check that layers have online gradients.

    Args:
        stack: The layers.
        has_embedding: Whether they read a trained embedding.
        owner: Who needs the gradient, for the error.

    Raises:
        UsageError: if they have not.
    """
    if stack.bidirectional:
        raise UsageError(
            f"{owner}: a layer that reads backwards needs the whole sequence; leave out `bidirectional`."
        )
    if set(stack.discrete_states) == set(stack.state_shapes):
        raise UsageError(f"{owner}: all states are discrete, so they have no derivative; use another cell.")
    if has_embedding:
        raise UsageError(
            f"{owner}: the influence of an embedding is not computed; leave out `embedding`, so that the "
            f"first layer reads one-hot codes."
        )


def carry_shapes(name: str, stack: Stack, batch: int) -> Shapes:
    """Shapes of the arrays that pass from one chunk to the next, the states alone for BPTT.

    Args:
        name: Name of an online gradient, or ``"bptt"``.
        stack: The layers.
        batch: ``B``.

    Raises:
        UsageError: if the influence is too large.
    """
    states = {state: (batch, *shape) for state, shape in stack.state_shapes.items()}
    influence = GRADIENTS[name].influence_shapes(stack, batch) if name in GRADIENTS else {}
    return {**states, **influence}


def _as_matrices(blocks: Array) -> Array:
    """Blocks ``(..., C, M)`` as ``(N, C, M)``, contiguous."""
    return np.ascontiguousarray(blocks).reshape(-1, *blocks.shape[-2:])


def _root_of_ratio(numerators: Array, denominators: Array) -> Array:
    """Roots of the ratios of the norms of rows, ``(B, 1)``; 1 where a norm is zero."""
    above, below = (np.linalg.norm(each, axis=1, keepdims=True) for each in (numerators, denominators))
    is_regular = (above > 0) & (below > 0)
    ratios: Array = np.sqrt(np.divide(above, below, out=np.ones_like(above), where=is_regular))
    return ratios


def _check_model(model: Any, owner: str) -> None:
    """Check that a model has online gradients.

    Raises:
        UsageError: if it has not.
    """
    if not isinstance(model, Recurrent | Model):
        raise UsageError(f"{owner}: found {type(model).__name__!r}; expected a zoo.Recurrent or a model.")
    owner = f"{owner} of {model.stack.label()}"
    check_layers(model.stack, isinstance(model, Model) and "embedding" in model.params, owner)
    if isinstance(model, Model) and model.process_group.size > 1:
        raise UsageError(f"{owner}: several processes share the batch; use one process.")

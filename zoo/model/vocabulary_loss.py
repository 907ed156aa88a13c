"""The loss of a large vocabulary: the readout of the whole batch at once, chunk by chunk of the vocabulary.

The readout of a shard needs a gradient of all weights for each shard. Here groups of symbols are computed in
parallel instead, so each weight has one gradient. The groups do not depend on the number of threads.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.compiler.codegen.source_module import load_source
from zoo.kernels import chunked_loss
from zoo.kernels.chunked_loss import CHUNK_SYMBOLS
from zoo.kernels.precision import with_precision
from zoo.layers.sharding import map_shards

# Time of a step in ms, by shards and in chunks: an LSTM of 256 units with an embedding of 256, 35 steps of 20
# sequences, float32, one thread, on an AMD EPYC with AVX-512, the minimum of interleaved repetitions. And the
# largest memory of the process in MB.
#
#   symbols     4,096      8,192     16,384     24,576     32,768     50,000
#   ms         38  47    74   82   127  150   260  217   415  280          406
#   MB        227 210   270  230   340  259   390  292   425  325          419
LARGE_VOCABULARY = 20_000
"""Number of symbols from which the cross-entropy is computed in chunks."""

MAX_GROUPS = 4
"""Groups of symbols. Each has a gradient of the outputs of the layers, ``(N, H)``."""

MAX_TOKENS = 4096
"""Tokens at a time, which bounds the memory of the groups."""


@functools.cache
def chunk_kernels(precision: str | None) -> Any:
    """The module :mod:`zoo.kernels.chunked_loss` with the matrix products of a precision."""
    if precision is None:
        return chunked_loss
    return load_source("chunked_loss", with_precision(inspect.getsource(chunked_loss), precision))


@dataclass(frozen=True)
class VocabularyLoss:
    """The weighted cross-entropy of some tokens.

    Args:
        readout: ``Why (H, V)`` or, if tied, the embedding ``(V, H)``; and ``by (V,)``.
        is_tied: Whether the readout is the embedding.
        smoothing: Label smoothing.
        threads: Maximum number of threads.
        precision: Precision of the matrix products.
    """

    readout: tuple[Array, Array]
    is_tied: bool
    smoothing: float
    threads: int
    precision: str | None = None

    def loss(self, y: Array, targets: Array, weights: Array) -> float:
        """The weighted sum of the losses.

        Args:
            y: Outputs of the layers, ``(N, H)``.
            targets: Classes, ``(N,)``.
            weights: ``(N,)``, float64.
        """
        blocks = self._blocks(len(y))
        return sum(self._partition(y[each], targets[each], weights[each])[2] for each in blocks)

    def loss_and_grad(
        self, y: Array, targets: Array, weights: Array, scale: float, gradients: tuple[Array, Array]
    ) -> tuple[float, Array]:
        """As :meth:`loss`, and the gradients of ``scale`` times the sum.

        Args:
            y: Outputs of the layers, ``(N, H)``.
            targets: Classes, ``(N,)``.
            weights: ``(N,)``, float64.
            scale: Factor of the gradients.
            gradients: Destination of the gradients of the readout.

        Returns:
            The loss, and the gradient of y.
        """
        total, dy = 0.0, np.zeros_like(y)
        for gradient in gradients:
            gradient[...] = 0
        for block in self._blocks(len(y)):
            rows, classes = y[block], targets[block]
            tops, sums, loss = self._partition(rows, classes, weights[block])
            scales = scale * weights[block]
            groups = self._groups()
            parts = np.zeros((len(groups), *rows.shape), y.dtype)

            def add(
                group: slice,
                arguments: tuple[Array, ...] = (rows, classes, tops, sums, scales, parts),
                groups: list[slice] = groups,
            ) -> None:
                rows, classes, tops, sums, scales, parts = arguments
                dy_part = parts[groups.index(group)]
                chunk_kernels(self.precision).add_loss_gradients(
                    rows,
                    *self.readout,
                    classes,
                    self.is_tied,
                    group.start,
                    group.stop,
                    tops,
                    sums,
                    scales,
                    self.smoothing,
                    dy_part,
                    *gradients,
                )

            map_shards(add, groups, self.threads)
            for part in parts:
                dy[block] += part
            total += loss
        return total, dy

    def _partition(self, y: Array, targets: Array, weights: Array) -> tuple[Array, Array, float]:
        """The largest logit and the partition function of each token, and the weighted sum of the losses."""
        groups, count = self._groups(), len(y)
        tops = np.full((len(groups), count), -np.inf, y.dtype)
        sums, scores, totals = (np.zeros((len(groups), count)) for _ in range(3))

        def add(group: slice) -> None:
            n = groups.index(group)
            bounds = self.is_tied, group.start, group.stop
            add_log_partition = chunk_kernels(self.precision).add_log_partition
            add_log_partition(y, *self.readout, targets, *bounds, tops[n], sums[n], scores[n], totals[n])

        map_shards(add, groups, self.threads)
        top = tops.max(axis=0)
        total = np.zeros(count)
        for group_tops, group_sums in zip(tops, sums, strict=True):
            total += group_sums * np.exp(group_tops.astype(np.float64) - top)
        log_partition, score = np.log(total) + top, scores.sum(axis=0)
        mean = totals.sum(axis=0) / len(self.readout[1])
        losses = log_partition - (1 - self.smoothing) * score - self.smoothing * mean
        return top, total, float(sum((losses * weights).tolist()))

    def _groups(self) -> list[slice]:
        """Groups of symbols: whole chunks, whatever the number of threads."""
        size = len(self.readout[1])
        chunks = -(-size // CHUNK_SYMBOLS)
        length = -(-chunks // MAX_GROUPS) * CHUNK_SYMBOLS
        return [slice(start, min(start + length, size)) for start in range(0, size, length)]

    @staticmethod
    def _blocks(count: int) -> list[slice]:
        return [slice(start, min(start + MAX_TOKENS, count)) for start in range(0, count, MAX_TOKENS)]

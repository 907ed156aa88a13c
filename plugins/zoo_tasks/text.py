"""Text: predict the next character, to compare cells on a text.

Training gives the same bits as ``zoo.train`` with the same text, split, batch size and window length: the
sequences of a batch read different parts of the text, one window after the other, and states are passed from
window to window. The score is the cross-entropy of the whole validation or test part, in nats per character.

Reference: T. Mikolov, M. Karafiát, L. Burget, J. Černocký & S. Khudanpur, *Recurrent neural network based
language model*, Interspeech 2010, https://doi.org/10.21437/Interspeech.2010-343.

Memoryless baseline: the cross-entropy of a bigram table on the test part, with counts from the training part.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]

SMOOTHING = 0.1  # added to the count of every pair


class Text(zoo.Task):
    """The next character of a text.

    Inputs and targets are tokens, one for each character. The model is a language model, so it can sample.
    """

    family = "text"
    card = zoo.Card(
        title="Recurrent neural network based language model",
        authors="Tomáš Mikolov and Martin Karafiát and Lukáš Burget and Jan Černocký and Sanjeev Khudanpur",
        year=2010,
        url="https://doi.org/10.21437/Interspeech.2010-343",
        variant="The symbols are characters or bytes instead of words.",
        when_to_use="Use it to compare cells on a text in the same way as on the other tasks, for example "
        "with zoo compare. To train one language model on a text, use zoo train --data, which gives the "
        "same bits. Its score depends on the text, so compare only runs with the same data.",
    )
    metric = "nats"
    no_threshold = "the loss that a model can reach depends on the text"
    data = zoo.Option("builtin:pydoc", help="a file, a directory, builtin:pydoc or builtin:stdlib")
    level = zoo.Option("char", help="what a symbol is", choices=("char", "byte"))
    split = zoo.Option("90,5,5", help="shares of training, validation and test")
    seq = zoo.Option(64, help="steps of back-propagation through time, T", low=1)

    @property
    def vocabulary(self) -> tuple[str, ...] | tuple[int, ...]:
        """The symbols of the text."""
        return self._corpus.symbols

    @property
    def input_size(self) -> int:
        """The number of different symbols."""
        return len(self._corpus.symbols)

    @property
    def output_size(self) -> int:
        """The number of different symbols."""
        return len(self._corpus.symbols)

    def make_batch(self, index: int, size: int, seed: int, part: str) -> zoo.Batch:
        """A window of the text for each row; the seed has no effect, since there is one text."""
        window = self._streams(part, size).window(index)
        weights = np.ones(window.targets.shape, np.float32)
        return zoo.Batch(window.inputs, window.targets, weights, not window.is_first_of_epoch)

    def batch_count(self, part: str, size: int) -> int | None:
        """The number of windows in validation or test; None for training, which repeats the text."""
        return None if part == "train" else self._streams(part, size).windows_per_epoch

    def baseline(self) -> float:
        """The loss on the test part of a table of character pairs from the training part."""
        train, test = self._parts.train, self._parts.test
        pairs = np.full((self.input_size, self.input_size), SMOOTHING)
        np.add.at(pairs, (train[:-1], train[1:]), 1)
        shares = pairs / pairs.sum(axis=1, keepdims=True)
        return float(-np.log(shares[test[:-1], test[1:]]).mean())

    def fingerprint(self) -> str:
        """SHA-256 of some windows, which depend on the options, and of the whole text."""
        return hashlib.sha256(f"{super().fingerprint()} {self._corpus.sha256}".encode()).hexdigest()

    def _streams(self, part: str, size: int) -> zoo.data.BpttBatches:
        """A part of the text in rows, with windows as long as the part allows."""
        tokens = getattr(self._parts, part)
        steps = min(self.seq, max(1, (len(tokens) - 1) // size))
        return zoo.data.BpttBatches(tokens, size, steps)

    @functools.cached_property
    def _corpus(self) -> zoo.data.Corpus:
        return zoo.data.read_text(self.data, level="byte" if self.level == "byte" else "char")

    @functools.cached_property
    def _parts(self) -> zoo.data.Split:
        return zoo.data.split(self._corpus.tokens, zoo.data.parse_split(self.split))


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Text)

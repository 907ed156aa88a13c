"""``TextDataset``: read the text of a configuration, split it, and train on its windows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from zoo.base import Cell
from zoo.data import (
    BpttBatches,
    Corpus,
    Split,
    Vocabulary,
    fit_batch_shape,
    parse_split,
    read_text,
    split,
)
from zoo.data.corpus import CODE_LEVELS
from zoo.data.unicode_forms import unicode_note
from zoo.errors import UsageError
from zoo.field_repr import one_line_repr
from zoo.model import AnyModel, LanguageModel
from zoo.training.config import Config
from zoo.training.dataset import EvalResult, NoiseKey, ProbeBatch, State, TrainStepResult
from zoo.training.defaults import DEFAULT_SEQ, KIND_DEFAULTS, run_steps, with_intervals
from zoo.training.evaluation import bits, evaluate
from zoo.training.initial_parameters import check_level, in_vocabulary
from zoo.training.stream_gradient import check_gradient, loss_and_grad, states_of

Tokens: TypeAlias = NDArray[np.int32]

_DEFAULTS = KIND_DEFAULTS["text"]
MIN_SPLIT_SYMBOLS = 2000
"""A shorter text is used for training alone by default: a validation part would be too small."""
MAX_VALIDATION_SYMBOLS = 500_000
"""Most symbols that a validation reads. On two processors of an AMD EPYC (Zen 4), 500 updates of a GRU with
128 units take 4.6 s. A validation on all 9.3 million symbols of the validation part of a text of 186 MB took
10.3 s, and one on 500,000 of them takes 0.6 s."""


@one_line_repr
@dataclass(frozen=True)
class TextDataset:
    """A text split into training, validation and test parts.

    Attributes:
        corpus: The whole text.
        parts: Its training, validation and test tokens.
        train: Streams of the training part.
        valid: Streams of the validation part, or of the training part if there is none. Of a long part they
            are the beginnings, `MAX_VALIDATION_SYMBOLS` in all.
        has_validation: Whether there is a validation part.
        part_bytes: Bytes of the text that each token of the parts covers, `(N,)`; None if a token is a
            character or a byte, or has no text.
        carry: Whether states are carried from one window to the next, in training and validation.
        scheduled_sampling: The probability of replaced inputs, and the updates until it is reached.
        gradient: Name of the gradient across windows.
    """

    corpus: Corpus
    parts: Split
    train: BpttBatches
    valid: BpttBatches
    has_validation: bool
    part_bytes: Split | None = None
    carry: bool = True
    scheduled_sampling: tuple[float, int] = (0.0, 1)
    gradient: str = "bptt"
    kind: ClassVar[str] = "text"

    @property
    def name(self) -> str:
        """The name of the text."""
        return self.corpus.name

    @property
    def batch_size(self) -> int:
        """Streams read side by side."""
        return self.train.batch

    @property
    def eval_split_name(self) -> str:
        """``"validation"``, or ``"training text"`` without a validation part."""
        return "validation" if self.has_validation else "training text"

    def metadata(self) -> dict[str, Any]:
        """The text with its digest and its sizes."""
        facts: dict[str, Any] = {
            "name": self.corpus.name,
            "level": self.corpus.vocabulary.level,
            "sha256": self.corpus.sha256,
            "bytes": self.corpus.size,
            "symbols": len(self.corpus),
            "vocabulary": len(self.corpus.symbols),
            "train": len(self.parts.train),
            "valid": len(self.parts.valid),
            "test": len(self.parts.test),
        }
        if self.note:
            facts["note"] = self.note
        if self.valid.is_shortened:
            facts["validation_symbols"] = self.valid.batch * self.valid.seq * self.valid.windows_per_epoch
        if self.corpus.level == "word":
            facts["unknown"] = int(np.count_nonzero(self.corpus.tokens == 0))
        if self.part_bytes is not None:
            facts["bytes_per_token"] = {"train": self._train_bytes(), "eval": self._eval_bytes()}
        return facts

    @cached_property
    def note(self) -> str:
        """A sentence on symbols that look the same; empty if there are none."""
        return unicode_note(self.corpus)

    def make_model(self, cell: Cell | list[Cell], config: Config) -> LanguageModel:
        """A language model of the symbols of the text."""
        arguments = {**config.model_arguments(), "embedding": config.embedding, "tie": config.tie}
        model = LanguageModel(self.corpus.vocabulary, cell, **arguments)
        check_gradient(self.gradient, model, self.batch_size)
        return model

    def loss_and_grad(
        self, model: AnyModel, step: int, carried_states: State | None, noise: NoiseKey
    ) -> TrainStepResult:
        """Loss and gradient on the window of a step; states are carried within an epoch, unless reset."""
        window = self.train.window(step)
        before = None if window.is_first_of_epoch or not self.carry else carried_states
        inputs = self._mixed_inputs(model, step, window.inputs, states_of(model, before), noise)
        loss, after = loss_and_grad(self.gradient, model, inputs, window.targets, before, noise)
        return TrainStepResult(loss, after, window.targets.size)

    def _mixed_inputs(
        self, model: AnyModel, step: int, inputs: Tokens, before: State | None, noise: NoiseKey
    ) -> Tokens:
        """The inputs of a window, some of them replaced by samples of the model: parallel scheduled sampling.

        Each sample follows the tokens of the text and not other samples, so one forward pass yields all.
        Duckworth et al. 2019, https://arxiv.org/abs/1906.04331.
        """
        probability, steps = self.scheduled_sampling
        probability *= min(1.0, step / steps)
        if not probability:
            return inputs
        rng = np.random.default_rng([*noise, 1])
        is_replaced = rng.random(inputs.shape)[1:] < probability
        draws = np.zeros(is_replaced.shape)
        draws[is_replaced] = rng.random(is_replaced.sum())
        is_local = np.zeros(inputs.shape[1], bool)
        for shard in model.process_group.local_shards(len(is_local)):
            is_local[shard] = True
        is_replaced &= is_local
        mixed = inputs.copy()
        if is_replaced.any():
            scores = model.local_outputs(inputs, before)[:-1][is_replaced].astype(np.float64)
            cumulated = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1)
            drawn = draws[is_replaced][:, None] * cumulated[:, -1:]
            mixed[1:][is_replaced] = (cumulated <= drawn).sum(axis=1)
        return model.process_group.all_gather_rows(mixed)  # the gradient of an embedding needs all rows

    def evaluate(self, model: AnyModel) -> EvalResult:
        """The loss on the validation part, or the training part if there is none."""
        score = evaluate(model, self.valid, carry=self.carry)
        return EvalResult(score.nats, _bits(score.nats, self._eval_bytes()))

    def probe(self) -> ProbeBatch:
        """The first window of the validation part, or of the training part if there is none."""
        return ProbeBatch(self.valid.window(0).inputs)

    def compile_kernels(self, model: AnyModel) -> None:
        """Compute the loss of the first window."""
        window = self.train.window(0)
        model.loss(window.inputs, window.targets)

    def uniform_loss(self, model: AnyModel) -> float:
        """The loss of equal probabilities for all symbols."""
        return math.log(model.output_size)

    def memoryless_loss(self) -> float:
        """The entropy of the tokens, in nats."""
        counts = np.bincount(self.train.tokens)
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())

    def sample(self, model: AnyModel, length: int, seed: int) -> str:
        """Text sampled from the model."""
        return cast(LanguageModel, model).sample("", length, seed=seed)

    def final_entries(self, load_best: Callable[[], AnyModel]) -> dict[str, Any]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: `zoo eval` evaluates the best model."""
        return {}

    def extra_metrics(self, step: int, loss: float) -> dict[str, Any]:
        """The loss in bits, and the number of epochs."""
        epoch = round(step / self.train.windows_per_epoch, 3)
        return {**_bits(loss, self._train_bytes()), "epoch": epoch}

    def _train_bytes(self) -> float | None:
        """Bytes of the text in a predicted token of the training part."""
        return None if self.part_bytes is None else self.train.mean_target(self.part_bytes.train)

    def _eval_bytes(self) -> float | None:
        """Bytes of the text in a predicted token of the part that is evaluated."""
        if self.part_bytes is None:
            return None
        part = self.part_bytes.valid if self.has_validation else self.part_bytes.train
        return self.valid.mean_target(part)


def _bits(nats: float, token_bytes: float | None) -> dict[str, float]:
    """A loss in bits for a token, and for a byte if tokens have several."""
    per_byte = {} if not token_bytes else {"bits_per_byte": bits(nats) / token_bytes}
    return {"bits": bits(nats), **per_byte}


def prepare_text(
    config: Config, corpus: Corpus | None = None, vocabulary: Vocabulary | None = None
) -> tuple[Config, TextDataset]:
    """Read and split the text of a configuration; also returns the configuration with every size resolved.

    Args:
        config: The configuration.
        corpus: The text, if it is in memory.
        vocabulary: The vocabulary of a trained model, in place of one that is made of the text.

    Raises:
        DataError: if the text cannot be read, is too short for the requested sizes, or has symbols that the
            vocabulary lacks.
        UsageError: if the split is invalid.
    """
    if vocabulary is not None:
        check_level(config, vocabulary)
    if corpus is None:
        sources, glob = list(config.data), config.glob
        options = {**config.text_options(), **_vocabulary_option(vocabulary)}
        corpus = read_text(sources, glob=glob, **options)
    if vocabulary is not None:
        corpus = in_vocabulary(corpus, vocabulary)
    shares = config.split or (_DEFAULTS.split if len(corpus) >= MIN_SPLIT_SYMBOLS else "100")
    parts = split(corpus.tokens, parse_split(shares))
    wanted = config.batch or _DEFAULTS.batch, config.seq or DEFAULT_SEQ
    batch, seq = fit_batch_shape(len(parts.train), *wanted)
    train = BpttBatches(parts.train, config.batch or batch, config.seq or seq)
    steps = run_steps(config, "text", train.windows_per_epoch)
    if config.sampling_steps is not None and not config.scheduled_sampling:
        raise UsageError("`sampling_steps` is given without `scheduled_sampling`; give both.")
    sampling_steps = config.sampling_steps or (steps if config.scheduled_sampling else None)
    resolved = dataclasses.replace(
        with_intervals(config, "text", steps),
        split=shares,
        batch=train.batch,
        seq=train.seq,
        sampling_steps=sampling_steps,
    )
    has_validation = len(parts.valid) > 1
    sizes = None if corpus.vocabulary.level in CODE_LEVELS else corpus.byte_sizes()
    return resolved, TextDataset(
        corpus,
        parts,
        train,
        evaluation_streams(parts.valid if has_validation else parts.train, train),
        has_validation,
        None if sizes is None else split(sizes, parse_split(shares)),
        config.carry,
        (config.scheduled_sampling, sampling_steps or 1),
        config.gradient,
    )


def _vocabulary_option(vocabulary: Vocabulary | None) -> dict[str, Any]:
    """The argument of ``read_text`` for words and numbers; a tokenizer has a file of its own."""
    is_made_of_text = vocabulary is not None and vocabulary.level in ("word", "token")
    return {"vocabulary": vocabulary} if is_made_of_text else {}


def evaluation_streams(tokens: Any, train: BpttBatches) -> BpttBatches:
    """Streams for validations, with the batch shape of training if the part is long enough."""
    batch, seq = fit_batch_shape(len(tokens), train.batch, train.seq)
    return BpttBatches(tokens, batch, seq, max(1, MAX_VALIDATION_SYMBOLS // (batch * seq)))

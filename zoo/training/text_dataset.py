"""A text as what a run reads: from the sources of a configuration to streams."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from zoo.base import Cell
from zoo.data import Corpus, Split, Streams, fit, parse_split, read_text, split
from zoo.data.corpus import TextLevel
from zoo.model import AnyModel, LanguageModel
from zoo.training.config import Config
from zoo.training.dataset import Learnt, Measured, Noise, Probe, State
from zoo.training.evaluation import bits, evaluate

DEFAULT_SPLIT = "90,5,5"
SHORT = 2000
"""Below this many symbols a text is all for training, unless a split is asked for: too few remain to tell."""


@dataclass(frozen=True)
class Text:
    """A text, divided.

    Attributes:
        corpus: The whole of it.
        parts: Its training, validation and test tokens.
        train: Streams of the training part.
        valid: Streams of the validation part, or of the training part if there is none.
        has_validation: Whether there is one.
    """

    corpus: Corpus
    parts: Split
    train: Streams
    valid: Streams
    has_validation: bool
    kind: ClassVar[str] = "text"

    @property
    def name(self) -> str:
        """The name of the text."""
        return self.corpus.name

    @property
    def rows(self) -> int:
        """Streams read side by side."""
        return self.train.batch

    @property
    def measured_on(self) -> str:
        """What a validation reads, in words."""
        return "validation" if self.has_validation else "training text"

    def facts(self) -> dict[str, Any]:
        """What identifies the text, for logs and checkpoints."""
        return {
            "name": self.corpus.name,
            "sha256": self.corpus.sha256,
            "bytes": self.corpus.size,
            "symbols": len(self.corpus),
            "vocabulary": len(self.corpus.symbols),
            "train": len(self.parts.train),
            "valid": len(self.parts.valid),
            "test": len(self.parts.test),
        }

    def make_model(self, cell: Cell, config: Config) -> LanguageModel:
        """A language model of the symbols of the text."""
        return LanguageModel(self.corpus.vocabulary, cell, **config.model_settings())

    def learn(self, model: AnyModel, step: int, carried: State | None, noise: Noise) -> Learnt:
        """The loss on the window of a step; states are carried from window to window of an epoch."""
        window = self.train.window(step)
        before = None if window.is_first_of_epoch else carried
        loss, after = model.loss_and_grad(window.inputs, window.targets, state=before, noise=noise)
        return Learnt(loss, after, window.targets.size)

    def measure(self, model: AnyModel) -> Measured:
        """The loss over one pass through the validation part, or the training part if there is none."""
        score = evaluate(model, self.valid)
        return Measured(score.nats, {"bits": score.bits})

    def probe(self) -> Probe:
        """The first window of the validation part, or of the training part if there is none."""
        return Probe(self.valid.window(0).inputs)

    def rehearse(self, model: AnyModel) -> None:
        """Measure the first window."""
        window = self.train.window(0)
        model.loss(window.inputs, window.targets)

    def remarks(self, step: int, loss: float) -> dict[str, Any]:
        """The loss in bits, and how often the text was read."""
        return {"bits": bits(loss), "epoch": round(step / self.train.windows_per_epoch, 3)}


def prepare(
    config: Config, corpus: Corpus | None = None, max_bytes: int | None = None
) -> tuple[Config, Text]:
    """Read and divide the text; the configuration comes back with every size settled.

    Args:
        config: The configuration.
        corpus: The text, if it has been read already.
        max_bytes: As for `read_text`.

    Raises:
        DataError: if the text cannot be read or is too short for the sizes that were asked for.
        UsageError: if the split is not one.
    """
    if corpus is None:
        level = cast(TextLevel, config.level)
        corpus = read_text(list(config.data), level=level, glob=config.glob, max_bytes=max_bytes)
    shares = config.split or (DEFAULT_SPLIT if len(corpus) >= SHORT else "100")
    parts = split(corpus.tokens, parse_split(shares))
    batch, seq = fit(len(parts.train), config.batch or 32, config.seq or 64)
    train = Streams(parts.train, config.batch or batch, config.seq or seq)
    steps = _steps(config, train.windows_per_epoch)
    every = config.eval_every or max(1, min(500, steps // 10))
    settled = dataclasses.replace(
        config,
        split=shares,
        batch=train.batch,
        seq=train.seq,
        steps=steps,
        epochs=None,
        eval_every=every,
        save_every=config.save_every or every,
    )
    has_validation = len(parts.valid) > 1
    return settled, Text(
        corpus,
        parts,
        train,
        streams_for(parts.valid if has_validation else parts.train, train),
        has_validation,
    )


def streams_for(tokens: Any, like: Streams) -> Streams:
    """Streams over another part, as large as those of training if the part is long enough."""
    return Streams(tokens, *fit(len(tokens), like.batch, like.seq))


def _steps(config: Config, windows_per_epoch: int) -> int:
    if config.steps is not None:
        return config.steps
    if config.epochs is not None:
        return max(1, round(config.epochs * windows_per_epoch))
    return 5000

"""From the sources of a configuration to the streams that a run reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

from zoo.data import Corpus, Split, Streams, fit, parse_split, read_text, split
from zoo.data.corpus import TextLevel
from zoo.training.config import Config

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


def prepare(config: Config, corpus: Corpus | None = None) -> tuple[Config, Text]:
    """Read and divide the text; the configuration comes back with every size settled.

    Args:
        config: The configuration.
        corpus: The text, if it has been read already.

    Raises:
        DataError: if the text cannot be read or is too short for the sizes that were asked for.
        UsageError: if the split is not one.
    """
    if corpus is None:
        corpus = read_text(list(config.data), level=cast(TextLevel, config.level), glob=config.glob)
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

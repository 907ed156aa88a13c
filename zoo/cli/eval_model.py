"""The model of ``zoo eval``, and its loss on a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.base.data_kinds import DATA_KINDS, PARTS
from zoo.data import (
    BpttBatches,
    Corpus,
    fit_batch_shape,
    parse_split,
    read_text,
    split,
)
from zoo.data.corpus import CODE_LEVELS, TextLevel, byte_sizes
from zoo.data.training_files import check_training_files
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.model import AnyModel, LanguageModel, model_from
from zoo.model.checkpoint import CellClasses, read_run
from zoo.storage.checkpoint import is_digest
from zoo.storage.strict_json import quote
from zoo.training import Config, evaluate
from zoo.training.config_conversion import config_from_json
from zoo.training.defaults import DEFAULT_SEQ, KIND_DEFAULTS
from zoo.training.run_text import text_of_run

_PART_PREFERENCE = PARTS[::-1]
"""The parts in the order in which a text is evaluated: the first one that has symbols."""


@dataclass(frozen=True)
class LoadedModel:
    """A model from a run directory or a checkpoint file.

    Attributes:
        source: The path.
        model: The model.
        config: Configuration of its training; None if the file has none.
        sha256: Digest of the training text or table, or of examples of the task; empty if unknown.
    """

    source: str
    model: AnyModel
    config: Config | None
    sha256: str


def open_model(path: Path, cell: CellClasses) -> LoadedModel:
    """Load the best model of a run directory, or the one in a file.

    Raises:
        UsageError: if the path does not exist, or is a comparison.
        CheckpointError: if it is damaged.
    """
    checkpoint, _ = read_run(path)
    model = model_from(checkpoint, str(path), cell)
    config = checkpoint.meta.get("config")
    data_facts = next((checkpoint.meta[kind] for kind in DATA_KINDS if kind in checkpoint.meta), None)
    if not isinstance(config, dict):
        return LoadedModel(str(path), model, None, "")
    digest = data_facts.get("sha256", "") if isinstance(data_facts, dict) else ""
    if digest != "" and not is_digest(digest):
        raise CheckpointError(
            f"{path}: the sha256 of its data or task is {quote(str(digest))}; expected 64 hexadecimal digits."
        )
    return LoadedModel(str(path), model, config_from_json(config, str(path)), digest)


def evaluate_on_text(
    trained: LoadedModel,
    sources: Sequence[str],
    glob: str | None,
    part: str | None,
    on_unknown: str,
    noise: int | None,
) -> dict[str, Any]:
    """Measure the loss of a language model on its own text or another.

    Args:
        trained: The model.
        sources: The other text; empty for the model's own.
        glob: Pattern of the files of a directory; None for the pattern of the run.
        part: ``train``, ``valid``, ``test`` or ``all``. None: of its own text the first that is not empty of
            test, valid and train; of another text all.
        on_unknown: ``error``, or ``skip`` to leave out unknown symbols.
        noise: Seed of dropout and noise; None to draw none.

    Raises:
        DataError: if the text cannot be read, has unknown symbols, or is too short.
        UsageError: if the part does not exist.
    """
    model = trained.model
    if not isinstance(model, LanguageModel):
        raise UsageError(
            f"{trained.source} holds a {model.kind} without the data or the task of its training, and cannot "
            f"read a text; use it in Python, zoo.load({trained.source!r}), for example with its method "
            f"evaluate."
        )
    corpus = _read_corpus(trained, model, sources, glob, on_unknown)
    tokens, sizes = corpus.tokens, corpus.byte_sizes()
    if model.vocab.level in CODE_LEVELS:
        tokens = corpus.tokens_in(model.vocab, "skip" if on_unknown == "skip" else "error")
        sizes = byte_sizes(model.vocab, tokens)
    own = corpus.sha256 == trained.sha256
    name, selected = _select_part(trained, tokens, part, own)
    config = trained.config or Config()
    shape = config.batch or KIND_DEFAULTS["text"].batch, config.seq or DEFAULT_SEQ
    batches = BpttBatches(selected, *fit_batch_shape(len(selected), *shape))
    score = evaluate(model, batches, noise, carry=config.carry, include_remainder=True)
    token_bytes = None
    if sizes is not None:
        _, part_sizes = _select_part(trained, sizes, name, own)
        token_bytes = batches.mean_target(part_sizes, include_remainder=True)
    return {
        "text": corpus.name,
        "sha256": corpus.sha256,
        "level": model.vocab.level,
        "part": name,
        "symbols": score.symbols,
        "part_symbols": len(selected),
        "skipped": corpus.skipped + len(corpus) - len(tokens),
        "noise": noise,
        "loss": score.nats,
        "bits": score.bits,
        **({"bits_per_byte": score.bits / token_bytes} if token_bytes else {}),
        "perplexity": math.exp(min(score.nats, 700.0)),
    }


def _read_corpus(
    trained: LoadedModel, model: LanguageModel, sources: Sequence[str], glob: str | None, on_unknown: str
) -> Corpus:
    config = trained.config
    if sources:
        level: TextLevel = "byte" if model.vocab.level == "byte" else "char"
        pattern = glob or (config.glob if config else "*")
        dtype = config.token_dtype if config else None
        return read_text(
            list(sources),
            level,
            pattern,
            token_dtype=dtype,
            vocabulary=model.vocab,
            on_unknown="skip" if on_unknown == "skip" else "error",
        )
    if config is None:
        raise UsageError(f"{trained.source} has no record of its training text; name a text with --data.")
    check_training_files(trained.source, config.data)
    corpus = text_of_run(trained.source, config, model.vocab, glob)
    if corpus.sha256 != trained.sha256:
        raise DataError(
            f"the text of {trained.source}, {' '.join(config.data)}, has changed since training (sha256 "
            f"{trained.sha256[:12]} then, {corpus.sha256[:12]} now); restore it, or name a text with --data."
        )
    return corpus


def _select_part(trained: LoadedModel, tokens: Any, part: str | None, own: bool) -> tuple[str, Any]:
    if part == "all" or (part is None and not own):
        return "all", tokens
    shares = (trained.config.split if trained.config else None) or KIND_DEFAULTS["text"].split
    parts = split(tokens, parse_split(shares))._asdict()
    name = part or next(name for name in _PART_PREFERENCE if len(parts[name]) > 1)
    if len(parts[name]) < 2:
        raise UsageError(
            f"the {name} part is too short to be predicted: {len(parts[name])} of {len(tokens):,} symbols "
            f"(split {shares}); choose another --part."
        )
    return name, parts[name]

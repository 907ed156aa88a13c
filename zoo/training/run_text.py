"""Read the text of a run, and store the tokens of a text that was passed in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zoo.data import Corpus, Vocabulary, read_text, vocabulary_from_json
from zoo.data.corpus import TextLevel
from zoo.data.sources import IN_MEMORY, LEVELS, MAX_CONFIGURED_BYTES
from zoo.errors import CheckpointError
from zoo.storage import Checkpoint, RunDirectory, load, save
from zoo.training.config import Config

KIND = "corpus"


def text_of_run(path: str | Path, config: Config, vocabulary: Vocabulary, glob: str | None = None) -> Corpus:
    """Read the text of a run in the vocabulary of its model, whose tokenizer file is not needed.

    Args:
        path: The run directory, or one of its checkpoints.
        config: Its configuration.
        vocabulary: The vocabulary of its model.
        glob: Pattern of the files of a directory; None for the pattern of the run.

    Raises:
        DataError: if the text cannot be read.
        CheckpointError: if the stored tokens are damaged.
    """
    stored = stored_corpus(path, config.data)
    if stored is not None:
        return stored
    level: TextLevel = "byte" if vocabulary.level == "byte" else "char"
    dtype = config.token_dtype
    return read_text(
        list(config.data),
        level,
        glob or config.glob,
        MAX_CONFIGURED_BYTES,
        token_dtype=dtype,
        vocabulary=vocabulary,
    )


def save_corpus(directory: RunDirectory, corpus: Corpus) -> None:
    """Store a corpus in a run directory, unless the run has it already.

    Raises:
        CheckpointError: if it cannot be written.
    """
    if directory.corpus_path.is_file():
        return
    arrays: dict[str, Any] = {"tokens": np.ascontiguousarray(corpus.tokens, np.int32)}
    if corpus.token_bytes is not None:
        arrays["token_bytes"] = corpus.token_bytes.astype(np.int32)
    names = ("name", "level", "sha256", "size")
    facts = {name: getattr(corpus, name) for name in names}
    meta: dict[str, object] = {"kind": KIND, KIND: {**facts, "vocabulary": corpus.vocabulary.to_json()}}
    save(directory.corpus_path, Checkpoint(arrays, meta))


def stored_corpus(path: str | Path, data: tuple[str, ...]) -> Corpus | None:
    """The corpus in a run directory; None if its text was not passed in memory, or was not stored.

    Args:
        path: The run directory, or one of its checkpoints.
        data: The sources in its configuration.

    Raises:
        CheckpointError: if the file is damaged, or does not hold a corpus.
    """
    path = Path(path)
    directory = RunDirectory(path if path.is_dir() else path.parent.parent)
    is_in_memory = len(data) == 1 and data[0].startswith(IN_MEMORY)
    if not is_in_memory or not directory.corpus_path.is_file():
        return None
    checkpoint, source = load(directory.corpus_path), str(directory.corpus_path)
    facts, arrays = checkpoint.meta.get(KIND), checkpoint.arrays
    kinds: dict[str, type] = {"name": str, "level": str, "sha256": str, "size": int}
    if not isinstance(facts, dict) or any(type(facts.get(name)) is not kind for name, kind in kinds.items()):
        raise CheckpointError(f"{source} does not hold the text of a run.")
    vocabulary, tokens = vocabulary_from_json(facts.get("vocabulary")), arrays.get("tokens")
    sizes = arrays.get("token_bytes")
    is_valid = (
        facts["level"] in LEVELS
        and tokens is not None
        and tokens.ndim == 1
        and tokens.size > 0
        and tokens.dtype == np.int32
        and 0 <= tokens.min() <= tokens.max() < len(vocabulary)
        and (sizes is None or sizes.shape == tokens.shape)
    )
    if not is_valid or tokens is None:
        raise CheckpointError(f"{source} does not hold the tokens of a text.")
    return Corpus(
        facts["name"],
        facts["level"],
        vocabulary.symbols,
        tokens,
        facts["sha256"],
        facts["size"],
        vocabulary,
        None if sizes is None else sizes.astype(np.uint32),
    )

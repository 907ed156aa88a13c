"""Text data: sources, corpora, vocabularies, splits, and batches for truncated BPTT.

Example:
    >>> from zoo.data import BpttBatches, read_text
    >>> corpus = read_text("builtin:hello")
    >>> corpus.symbols
    ('e', 'h', 'l', 'o')
    >>> inputs, targets, first = BpttBatches(corpus.tokens, batch=1, seq=4).window(0)
    >>> corpus.vocabulary.decode(inputs[:, 0]), corpus.vocabulary.decode(targets[:, 0])
    ('hell', 'ello')
"""

from __future__ import annotations

from zoo.data.bptt_batches import BpttBatches, Window, fit_batch_shape
from zoo.data.builtin import list_builtins
from zoo.data.corpus import Corpus
from zoo.data.sources import read_text
from zoo.data.split import Split, parse_split, split
from zoo.data.vocabulary import Decoder, Vocabulary

__all__ = [
    "BpttBatches",
    "Corpus",
    "Decoder",
    "Split",
    "Vocabulary",
    "Window",
    "fit_batch_shape",
    "list_builtins",
    "parse_split",
    "read_text",
    "split",
]

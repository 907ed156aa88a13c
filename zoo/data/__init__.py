"""Data: texts with their vocabularies and batches, tables with their series, and labelled sequences.

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
from zoo.data.labelled_sequences import LabelledSequences
from zoo.data.panel import ColumnRoles, Panel, make_panel
from zoo.data.sources import read_text
from zoo.data.split import Split, parse_split, split
from zoo.data.table import DataTable, as_table
from zoo.data.table_files import read_table
from zoo.data.token_files import TokenVocabulary
from zoo.data.tokenizer import TokenizerVocabulary, load_tokenizer, train_bpe
from zoo.data.vocabulary import Decoder, Vocabulary
from zoo.data.vocabulary_json import vocabulary_from_json
from zoo.data.words import WordVocabulary, split_words

__all__ = [
    "BpttBatches",
    "ColumnRoles",
    "Corpus",
    "DataTable",
    "Decoder",
    "LabelledSequences",
    "Panel",
    "Split",
    "TokenVocabulary",
    "TokenizerVocabulary",
    "Vocabulary",
    "Window",
    "WordVocabulary",
    "as_table",
    "fit_batch_shape",
    "list_builtins",
    "load_tokenizer",
    "make_panel",
    "parse_split",
    "read_table",
    "read_text",
    "split",
    "split_words",
    "train_bpe",
    "vocabulary_from_json",
]

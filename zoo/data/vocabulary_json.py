"""Make a vocabulary of any level from its JSON values in a checkpoint."""

from __future__ import annotations

import json

from zoo.data.token_files import TokenVocabulary
from zoo.data.tokenizer import TokenizerVocabulary
from zoo.data.vocabulary import Vocabulary
from zoo.data.words import WordVocabulary
from zoo.errors import DataError


def vocabulary_from_json(obj: object) -> Vocabulary:
    """Make a vocabulary from the result of its `to_json`.

    Raises:
        DataError: if `obj` is anything else, or a tokenizer and its package is not installed.
    """
    level = obj.get("level") if isinstance(obj, dict) else None
    if isinstance(obj, dict) and level in ("word", "token", "tokenizer"):
        key = {"word": "symbols", "token": "size", "tokenizer": "tokenizer"}[level]
        kind: type = {"word": list, "token": int, "tokenizer": dict}[level]
        if set(obj) != {"level", key} or type(obj[key]) is not kind:
            raise DataError(f"a stored vocabulary of level {level!r} has a {kind.__name__} {key!r}.")
        if level == "word":
            return WordVocabulary(obj[key])
        return TokenVocabulary(obj[key]) if level == "token" else TokenizerVocabulary(json.dumps(obj[key]))
    return Vocabulary.from_json(obj)

"""``zoo tokenize``: train a tokenizer on a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from zoo.cli.flags import Command, argument, option
from zoo.cli.format import decimal
from zoo.cli.terminal import echo
from zoo.errors import UsageError


@click.command(cls=Command)
@argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@option("--glob", default="*", metavar="PATTERN", help="Files to read from a directory, for example '*.txt'.")
@option(
    "--vocab-size",
    type=click.IntRange(min=257),
    default=4096,
    metavar="N",
    help="Number of tokens: the 256 bytes, and merged pairs.  [4096]",
)
@option("--out", default="tokenizer.json", metavar="FILE", help="The file to write.  [tokenizer.json]")
@option("--force", is_flag=True, help="Replace an existing file.")
def command(sources: Sequence[str], glob: str, vocab_size: int, out: str, force: bool) -> None:
    """Train a tokenizer on a text, for `zoo train --tokenizer`.

    SOURCE is a file, a directory, - or builtin:NAME, as for zoo train. The tokenizer is a byte-level BPE
    (byte pair encoding): it splits any text, and its tokens give the text again. The file has the format of
    the package tokenizers, which this command needs.
    """
    from zoo.data import read_text, train_bpe
    from zoo.storage.atomic import write_bytes

    path = Path(out)
    if path.exists() and not force:
        raise UsageError(f"{out} exists; give another --out, or --force to replace it.")
    corpus = read_text(list(sources), glob=glob)
    text = corpus.vocabulary.decode(corpus.tokens)
    vocabulary = train_bpe([text], vocab_size)
    tokens = len(vocabulary.encode(text))
    write_bytes(path, vocabulary.text.encode("utf-8"))
    mean = decimal(corpus.size / tokens, 2)
    echo(f"{out}: {len(vocabulary):,} tokens; {corpus.name} has {tokens:,} of them, {mean} bytes each")

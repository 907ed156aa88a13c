"""Read sources (files, directories, standard input, built-in texts) into a corpus."""

from __future__ import annotations

import difflib
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.arguments import as_choice, as_elements, as_instance, as_integer, counted, short_repr
from zoo.data.builtin import BUILTINS, PREFIX
from zoo.data.compression import (
    check_single_copies,
    compression_of_name,
    open_data_file,
    uncompressed_name,
)
from zoo.data.corpus import CODE_LEVELS, Corpus, TextLevel, byte_sizes
from zoo.data.token_files import TokenVocabulary, check_token_dtype, check_tokens, read_token_file
from zoo.data.tokenizer import TokenizerVocabulary, load_tokenizer
from zoo.data.vocabulary import OnUnknown, Symbols, Vocabulary, name_text
from zoo.data.words import WordVocabulary, count_words, split_words
from zoo.errors import DataError, MissingSourceError, UsageError

STDIN = "-"

IN_MEMORY = "corpus:"
"""Prefix of the name of a text that was passed as a ``Corpus``."""

MAX_CONFIGURED_BYTES = 2**30
"""Largest size in bytes of all files together that a checkpoint or a configuration names."""

MAX_CONFIGURED_FILES = 100_000
"""Largest number of files in a directory that a checkpoint or a configuration names."""


class FileContent(NamedTuple):
    """The raw bytes of one file or stream, and its name in messages."""

    label: str
    raw: bytes
    in_directory: bool = False


class SourceContent(NamedTuple):
    """The files of one source, and its short name."""

    name: str
    files: tuple[FileContent, ...]


def read_source(source: str | os.PathLike[str], glob: str, max_bytes: int | None = None) -> SourceContent:
    """Read one source to the end.

    Args:
        source: ``"-"``, ``"builtin:NAME"``, or a path; a `pathlib.Path` is always a path.
        glob: Pattern of the files of a directory.
        max_bytes: Limit for the size of all files together, which must then be regular files; None for none.

    Returns:
        The source's short name and its files, in order.

    Raises:
        MissingSourceError: if the source does not exist.
        DataError: if it cannot be read, is a device, or has more bytes.
        UsageError: if the source is not a string or path.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(f"a source is a path, {STDIN!r} or {PREFIX}NAME; found {type(source).__name__}.")
    try:
        return _read(source, glob, max_bytes)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise MissingSourceError(_missing(Path(exc.filename or source))) from exc
    except OSError as exc:
        if exc.errno == errno.ENAMETOOLONG:
            raise MissingSourceError(
                f"{short_repr(str(source))}: the name is too long for a file; train a text in memory with "
                f"zoo.LanguageModel(...).fit(text)."
            ) from exc
        reason = "permission denied" if isinstance(exc, PermissionError) else exc.strerror or exc
        raise DataError(f"cannot read {str(exc.filename or source)!r}: {reason}.") from exc


def check_configured_sources(sources: Sequence[str], glob: str) -> None:
    """Check that configured sources are regular files within the limits.

    Standard input, built-in texts and missing files pass; reading reports those.

    Raises:
        DataError: if one is not.
    """
    remaining = MAX_CONFIGURED_BYTES
    for source in sources:
        if source != STDIN and not source.startswith(PREFIX) and Path(source).exists():
            files = _files(Path(source), glob, MAX_CONFIGURED_FILES)
            remaining -= sum(_regular_size(file, remaining) for file in files)


def _read(source: str | os.PathLike[str], glob: str, max_bytes: int | None) -> SourceContent:
    if isinstance(source, str) and source == STDIN:
        return SourceContent("stdin", (FileContent("standard input", _read_stdin(max_bytes)),))
    if isinstance(source, str) and source.startswith(IN_MEMORY):
        name = source.removeprefix(IN_MEMORY)
        raise DataError(
            f"text {name!r} was passed to zoo.train as a zoo.data.Corpus, and the run holds no copy; pass it "
            f"again, zoo.train(corpus, resume=True, out=...), or give `data`."
        )
    if isinstance(source, str) and source.startswith(PREFIX):
        return _read_builtin(source.removeprefix(PREFIX))
    return _read_path(Path(source), glob, max_bytes)


def _read_stdin(max_bytes: int | None) -> bytes:
    if max_bytes is not None:
        raise DataError("the text came from standard input, which is not read again; name it with `data`.")
    buffer = getattr(sys.stdin, "buffer", None)  # None without a console, absent when replaced by text
    if buffer is None:
        raise DataError("there is no standard input to read bytes from; give a file instead of '-'.")
    return bytes(buffer.read())


def _read_builtin(name: str) -> SourceContent:
    if name not in BUILTINS:
        known = ", ".join(PREFIX + known for known in sorted(BUILTINS))
        raise MissingSourceError(
            f"unknown built-in text {name!r}{_did_you_mean(name) or '.'} Known: {known}."
        )
    return SourceContent(name, (FileContent(PREFIX + name, BUILTINS[name].read()),))


def _did_you_mean(name: str, cutoff: float = 0.6) -> str:
    close = difflib.get_close_matches(name.lower(), BUILTINS, n=1, cutoff=cutoff)
    return f"; did you mean {PREFIX}{close[0]}?" if close else ""


def _missing(path: Path) -> str:
    # `pydoc`, `builtin/pydoc`, `bultin:pydoc` and `pydoc.txt` all reduce to the built-in's bare name.
    bare = PurePosixPath(path.as_posix().rpartition(":")[2]).stem
    hint = _did_you_mean(bare, cutoff=0.85)  # a missing shell.txt is not a misspelt hello
    text = str(path)
    advice = hint or "; give the path of a file or of a directory, '-' or builtin:NAME."
    return f"{text if text.isprintable() else repr(text)}: no such file or directory{advice}"


def _read_path(path: Path, glob: str, max_bytes: int | None) -> SourceContent:
    if "\0" in str(path):
        raise FileNotFoundError(path)  # no system has such a name; open() would raise ValueError
    is_directory, contents, remaining = path.is_dir(), [], max_bytes
    files = _files(path, glob, None if max_bytes is None else MAX_CONFIGURED_FILES)
    check_single_copies((file.relative_to(path).as_posix() for file in files if is_directory), path)
    for file in files:
        raw = _read_file(file, remaining)
        remaining = None if remaining is None else remaining - len(raw)
        contents.append(FileContent(repr(str(file)), raw, is_directory))
    name = path.resolve().name if is_directory else Path(uncompressed_name(path.name)).stem
    return SourceContent(name or str(path), tuple(contents))


def _read_file(path: Path, max_bytes: int | None) -> bytes:
    """The bytes of a file, decompressed. A pipe is read to its end if there is no limit, a device never."""
    if max_bytes is None:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise DataError(f"{str(path)!r} is a device, which may never end; give a file or '-'.")
        with open_data_file(path, repr(str(path))) as file:
            return file.read()
    size = _regular_size(path, max_bytes)
    if compression_of_name(path.name) is not None:
        size = max_bytes + 1  # a small file may hold more text than fits into the memory
    with open_data_file(path, repr(str(path))) as file:
        raw = file.read(size)
    if len(raw) > max_bytes:
        raise _too_large(path)
    return raw


def _regular_size(path: Path, max_bytes: int) -> int:
    """The size of a regular file, at most ``max_bytes``."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DataError(
            f"{str(path)!r} is not a regular file; a text named by a checkpoint or configuration must be "
            f"one; give `data`."
        )
    if status.st_size > max_bytes:
        raise _too_large(path)
    return status.st_size


def _too_large(path: Path) -> DataError:
    return DataError(
        f"{str(path)!r} exceeds the limit of {MAX_CONFIGURED_BYTES:,} bytes for texts named by a checkpoint "
        f"or configuration; give `data`."
    )


def _files(path: Path, glob: str, max_files: int | None) -> list[Path]:
    return _matching(path, glob, max_files) if path.is_dir() else [path]


def _matching(root: Path, glob: str, max_files: int | None) -> list[Path]:
    relative = []
    for count, name in enumerate(visible_files(root)):
        if count == max_files:
            raise DataError(
                f"directory {str(root)!r} holds more than {max_files:,} files, the limit for a directory "
                f"named by a checkpoint or configuration; give `data`."
            )
        if _matches(name, glob):
            relative.append(name)
    relative.sort(key=uncompressed_name)
    if not relative:
        raise DataError(
            f"no file in directory {str(root)!r} matches {glob!r} (hidden files are left out); "
            "change `glob` or the directory."
        )
    return [root / name for name in relative]


def _matches(name: str, glob: str) -> bool:
    try:
        return PurePosixPath(name).match(glob.removeprefix("**/"))  # match() looks at any depth already
    except ValueError as exc:
        raise UsageError(f"{glob!r} is not a file pattern; write one like '*.txt'.") from exc


def visible_files(root: Path) -> Iterator[str]:
    """Relative posix paths of all regular files that are not hidden, without links to directories."""
    for folder, subfolders, names in os.walk(root, onerror=_raise):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files = (Path(folder, name) for name in names if not name.startswith("."))
        yield from (file.relative_to(root).as_posix() for file in files if file.is_file())


def _raise(error: OSError) -> None:
    raise error


Source = str | os.PathLike[str]

_Codes = NDArray[np.uint8] | NDArray[np.uint32]

_N_CODES = 0x110000  # Unicode's code points

_BOM = "\ufeff"


LEVELS = ("char", "byte", "word", "token", "tokenizer")
"""The levels at which `read_text` reads."""


def read_text(
    sources: Source | Sequence[Source],
    level: TextLevel = "char",
    glob: str = "*",
    max_bytes: int | None = None,
    *,
    tokenizer: str | os.PathLike[str] | None = None,
    min_count: int = 1,
    max_vocab: int | None = None,
    vocab_size: int | None = None,
    token_dtype: str | None = None,
    vocabulary: Vocabulary | None = None,
    on_unknown: OnUnknown = "error",
) -> Corpus:
    """Read text from files, directories, standard input or built-in texts.

    A source is one of:

    - the path of a file;
    - the path of a directory: every regular file below it that matches `glob`, sorted by relative posix
      path. Files and directories whose name begins with a dot are left out. Links to files are followed,
      links to directories are not;
    - ``"-"``: standard input;
    - ``"builtin:NAME"``: see `list_builtins`.

    Several sources and files are joined with nothing between them. A file whose name ends in ``.gz``,
    ``.bz2`` or ``.xz`` is decompressed at every level but ``token``; the corpus has the digest and the size
    of the decompressed text. At level ``char`` every file is decoded as strict UTF-8, a byte order mark at
    its beginning is dropped, and newlines are kept as they are. At level ``byte`` nothing is decoded and
    nothing is dropped. At level ``word`` a text is decoded as for characters and split by `split_words`. At
    level ``tokenizer`` a tokenizer splits it. At level ``token`` the sources are ``.npy`` and ``.bin`` files
    of token numbers; a single one is mapped into memory.

    Args:
        sources: One source or a sequence of them.
        level: ``"char"`` (a token is a Unicode code point), ``"byte"``, ``"word"``, ``"token"``, or
            ``"tokenizer"``, which a tokenizer implies.
        glob: Pattern of the files of a directory; ``"*.txt"`` matches at any depth.
        max_bytes: Limit for the size of all files together, which must then be regular files, for sources
            that a checkpoint names; None for none. Devices are never read.
        tokenizer: The ``tokenizer.json`` of the package ``tokenizers``.
        min_count: Words that occur fewer times become ``<unk>``.
        max_vocab: Largest vocabulary of words, with ``<unk>``; rarer words become ``<unk>``. None for no
            limit.
        vocab_size: Number of different tokens; None for the largest of the files plus one.
        token_dtype: Type of the numbers of a ``.bin`` file; None for uint16.
        vocabulary: The vocabulary of a trained model, in place of one that is made of the text; it determines
            the level if it is not one of characters or bytes.
        on_unknown: ``"skip"`` to leave out words or symbols that this vocabulary lacks; with ``"error"``
            unknown words become ``<unk>``, and other unknown symbols are an error.

    Returns:
        The corpus; its symbols are the symbols that occur, or all of the vocabulary.

    Raises:
        DataError: if a source is missing, unreadable, not text, or if all of them together hold fewer than
            two different symbols.
        UsageError: if an argument is invalid.
    """
    as_choice(level, "level", LEVELS)
    given_vocabulary, vocabulary = vocabulary, _vocabulary(vocabulary, tokenizer, level)
    if level == "token" or isinstance(vocabulary, TokenVocabulary):
        size = vocab_size if vocabulary is None else len(vocabulary)
        return _token_corpus(_source_list(sources), glob, max_bytes, size, token_dtype)
    read: list[SourceContent] = []
    for source in _source_list(sources):
        remaining = max_bytes and max_bytes - sum(len(file.raw) for content in read for file in content.files)
        read.append(read_source(source, glob, remaining))
    files = [file for content in read for file in content.files]
    name = read[0].name if len(read) == 1 else f"{len(files)} files"
    content = SourceContent(name, tuple(files))
    if vocabulary is None and level in CODE_LEVELS:
        return _corpus(content, level, "" if given_vocabulary else _BYTES_ADVICE)
    return _split_corpus(content, vocabulary, min_count, max_vocab, on_unknown)


def _vocabulary(
    given: Vocabulary | None, tokenizer: str | os.PathLike[str] | None, level: str
) -> Vocabulary | None:
    """The vocabulary that splits a text; None if it is made of the text."""
    if given is not None:
        as_instance(given, "vocabulary", Vocabulary, "a zoo.data.Vocabulary")
        return None if given.level in CODE_LEVELS else given
    if tokenizer is None:
        if level == "tokenizer":
            raise UsageError("level is 'tokenizer' and there is no tokenizer; give its file, tokenizer=...")
        return None
    if level not in ("char", "tokenizer"):
        raise UsageError(f"level is {level!r} and a `tokenizer` is given; leave out one of them.")
    return load_tokenizer(tokenizer)


def _split_corpus(
    read: SourceContent,
    vocabulary: Vocabulary | None,
    min_count: int,
    max_vocab: int | None,
    on_unknown: OnUnknown,
) -> Corpus:
    """A corpus of words, of the tokens of a tokenizer, or of the symbols of a vocabulary."""
    text = "".join(_decode(file, "") for file in read.files)
    if not text:
        raise DataError(f"{_label(read)} is empty; give a text with at least two different symbols.")
    if isinstance(vocabulary, TokenizerVocabulary):
        tokens, sizes = vocabulary.encode_with_bytes(text)
    elif vocabulary is None or isinstance(vocabulary, WordVocabulary):
        words = split_words(text)
        vocabulary = vocabulary or count_words(
            words,
            as_integer(min_count, "min_count", 1),
            None if max_vocab is None else as_integer(max_vocab, "max_vocab", 2),
        )
        tokens = vocabulary.find(words, on_unknown)
        sizes = np.fromiter((len(word.encode("utf-8")) for word in words), np.uint32, len(words))
    else:
        with name_text(read.name):
            tokens = vocabulary.find(text, on_unknown)
        sizes = byte_sizes(vocabulary, tokens)
    is_known = tokens >= 0
    skipped = len(tokens) - int(is_known.sum())
    if skipped:
        tokens, sizes = tokens[is_known], sizes[is_known]
    level: Any = "char" if vocabulary.level == "symbol" else vocabulary.level
    facts = _digest(read), sum(len(file.raw) for file in read.files)
    return Corpus(read.name, level, vocabulary.symbols, tokens, *facts, vocabulary, sizes, skipped)


def _token_corpus(
    sources: Sequence[Source], glob: str, max_bytes: int | None, vocab_size: int | None, dtype: str | None
) -> Corpus:
    """The tokens of files of numbers."""
    check_token_dtype(dtype)
    paths, remaining = list[Path](), max_bytes
    for source in sources:
        if isinstance(source, str) and (source == STDIN or source.startswith((PREFIX, IN_MEMORY))):
            raise DataError(f"{source!r} is a text, and level 'token' reads .npy and .bin files of numbers.")
        try:
            for file in _files(Path(source), glob, None if max_bytes is None else MAX_CONFIGURED_FILES):
                size = _regular_size(file, sys.maxsize if remaining is None else remaining)
                remaining = None if remaining is None else remaining - size
                paths.append(file)
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise MissingSourceError(_missing(Path(source))) from exc
        except OSError as exc:
            raise DataError(f"cannot read {str(source)!r}: {exc.strerror or exc}.") from exc
    arrays = [read_token_file(path, dtype) for path in paths]
    tokens = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    name = paths[0].stem if len(paths) == 1 else f"{len(paths)} files"
    size, digest = check_tokens(tokens, name, vocab_size)
    vocabulary = TokenVocabulary(size)
    return Corpus(name, "token", vocabulary.symbols, tokens, digest, tokens.nbytes, vocabulary)


def _source_list(sources: Source | Sequence[Source]) -> Sequence[Source]:
    if isinstance(sources, (str, os.PathLike)):
        return [sources]
    source_list: list[Source] = list(as_elements(sources, "sources", "a path, or several"))
    if not source_list:
        raise UsageError("no source was given; give a path, '-' or builtin:NAME.")
    if [source for source in source_list if isinstance(source, str)].count(STDIN) > 1:
        raise UsageError("standard input ('-') was given twice, but it can be read only once.")
    return source_list


_BYTES_ADVICE = ", or read bytes with `level='byte'`"


def _corpus(read: SourceContent, level: TextLevel, advice: str) -> Corpus:
    """A corpus of characters or bytes.

    Args:
        read: The files.
        level: Their level.
        advice: The other way to read a file that is not UTF-8; empty if a model determines the level.
    """
    files = read.files
    codes = np.concatenate([_characters(file, advice) if level == "char" else _bytes(file) for file in files])
    used_codes, tokens = _tokenise(codes)
    symbols: Symbols = tuple(map(chr, used_codes)) if level == "char" else tuple(used_codes)
    _check_two_symbols(read, symbols, len(tokens))
    size = sum(len(file.raw) for file in read.files)
    return Corpus(read.name, level, symbols, tokens, _digest(read), size)


def _digest(read: SourceContent) -> str:
    digest = hashlib.sha256()
    for file in read.files:
        digest.update(file.raw)
    return digest.hexdigest()


def _bytes(file: FileContent) -> _Codes:
    return np.frombuffer(file.raw, np.uint8)


def _characters(file: FileContent, advice: str) -> _Codes:
    return np.frombuffer(_decode(file, advice).encode("utf-32-le"), "<u4")


def _decode(file: FileContent, advice: str) -> str:
    """The text of a file, without a byte order mark."""
    _check_not_binary(file, advice)
    try:
        return file.raw.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as exc:
        raise DataError(
            f"{file.label} is not UTF-8: byte 0x{file.raw[exc.start]:02x} at offset {exc.start} "
            f"({exc.reason}); convert it to UTF-8 (for a file of Windows: `iconv -f WINDOWS-1252 -t UTF-8 "
            f"OLD > NEW`){advice}{_glob_hint(file)}."
        ) from exc


def _check_not_binary(file: FileContent, advice: str) -> None:
    offset = file.raw.find(b"\0")
    if offset < 0:
        return
    is_utf16 = file.raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    kind, how = ("UTF-16", " (`iconv -f UTF-16 -t UTF-8 OLD > NEW`)") if is_utf16 else ("binary", "")
    raise DataError(
        f"{file.label} looks {kind}, not UTF-8 text: NUL byte at offset {offset}; "
        f"convert it to UTF-8{how}{_array_hint(file) if advice else ''}{advice}{_glob_hint(file)}."
    )


def _array_hint(file: FileContent) -> str:
    is_array = file.label.strip("'\"").lower().endswith((".npy", ".bin"))
    return ", read token numbers with `level='token'`, a table with `kind='table'`" if is_array else ""


def _glob_hint(file: FileContent) -> str:
    return ", or leave it out with `glob='*.txt'`" if file.in_directory else ""


def _tokenise(codes: _Codes) -> tuple[list[int], NDArray[np.int32]]:
    """The sorted codes that occur, and each code's rank among them; `numpy.unique` would sort."""
    occurs = np.zeros(_N_CODES, np.bool_)
    occurs[codes] = True
    rank = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(occurs).tolist(), rank[codes]


def _check_two_symbols(read: SourceContent, symbols: Symbols, length: int) -> None:
    label = _label(read)
    if not symbols:
        raise DataError(f"{label} is empty; give a text with at least two different symbols.")
    if len(symbols) == 1:
        raise DataError(
            f"{label} holds one symbol only ({symbols[0]!r}, {counted(length, 'time')}); a model needs at "
            f"least two to have something to predict."
        )


def _label(read: SourceContent) -> str:
    return read.files[0].label if len(read.files) == 1 else read.name

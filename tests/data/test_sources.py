"""Sources become a corpus: files, directories, standard input, built-in texts, and what can be wrong."""

from __future__ import annotations

import doctest
import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import zoo.data
from zoo.data import Corpus, list_builtins, read_text
from zoo.errors import DataError, UsageError


def text_of(corpus: Corpus) -> str:
    return corpus.vocabulary.decode(corpus.tokens)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def corpus_of(data: bytes, level: str = "char") -> Corpus:
    with mock.patch.object(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data))):
        return read_text("-", level=level)


# -- one file ------------------------------------------------------------------------------------------------


def test_file(tmp_path):
    corpus = read_text(write(tmp_path / "poem.txt", b"hello"))
    assert (corpus.name, corpus.level, corpus.symbols) == ("poem", "char", ("e", "h", "l", "o"))
    assert corpus.tokens.tolist() == [1, 0, 2, 2, 3]
    assert corpus.tokens.dtype == np.int32
    assert (corpus.size, len(corpus)) == (5, 5)
    assert corpus.sha256 == hashlib.sha256(b"hello").hexdigest()


def test_string_and_path_are_equal(tmp_path):
    path = write(tmp_path / "a.txt", b"abc")
    assert text_of(read_text(str(path))) == text_of(read_text(path)) == "abc"


def test_bytes_level(tmp_path):
    corpus = read_text(write(tmp_path / "a.bin", b"\xff\x00\xff\x80"), level="byte")
    assert (corpus.level, corpus.symbols, corpus.tokens.tolist()) == ("byte", (0, 0x80, 0xFF), [2, 0, 2, 1])
    assert all(type(symbol) is int for symbol in corpus.symbols)


def test_size_counts_bytes_and_length_counts_characters(tmp_path):
    corpus = read_text(write(tmp_path / "a", "aé€😀".encode()))
    assert (corpus.size, len(corpus)) == (10, 4)


def test_bom_is_dropped_but_hashed(tmp_path):
    path = write(tmp_path / "a", b"\xef\xbb\xbfab\xef\xbb\xbf")
    corpus = read_text(path)
    assert text_of(corpus) == "ab\ufeff"  # only the one at the beginning is a mark
    assert corpus.size == 8
    assert corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(read_text(path, level="byte")) == 8  # bytes stay as they are


def test_newlines_are_kept(tmp_path):
    assert text_of(read_text(write(tmp_path / "a", b"a\r\nb\rc\n"))) == "a\r\nb\rc\n"


def test_largest_code_point(tmp_path):
    corpus = read_text(write(tmp_path / "a", "a\U0010ffff\U00010000".encode()))
    assert corpus.symbols == ("a", "\U00010000", "\U0010ffff")


@pytest.mark.parametrize(
    ("data", "offset", "byte"),
    [
        (b"abc\xff", 3, "ff"),
        (b"\xef\xbb\xbfabc\xe9 def", 6, "e9"),  # the offset is the file's, mark included
        ("é€".encode() + b"\x80", 5, "80"),
        (b"ab\xed\xa0\x80", 2, "ed"),  # a surrogate is not UTF-8
        (b"ab\xf4\x90\x80\x80", 2, "f4"),  # beyond U+10FFFF
        (b"ab\xe2\x82", 2, "e2"),  # cut off in the middle of a character
        (b"ab\xc0\x80", 2, "c0"),  # an overlong form
    ],
)
def test_invalid_utf8_names_file_offset_and_byte(tmp_path, data, offset, byte):
    path = write(tmp_path / "bad.txt", data)
    with pytest.raises(
        DataError, match=rf"bad\.txt'.*not UTF-8.*0x{byte} at offset {offset} .*`level='byte'`"
    ) as exc:
        read_text(path)
    assert "glob" not in str(exc.value)
    assert len(read_text(path, level="byte")) == len(data)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
@pytest.mark.parametrize("level", ["char", "word"])
def test_file_of_another_encoding_names_the_conversion(tmp_path, encoding, level):
    """The level of a model is fixed, so an error names no other one."""
    path = write(tmp_path / "book.txt", "Où est Zoë ? À la plage.".encode(encoding))
    name = "WINDOWS-1252" if encoding == "cp1252" else "UTF-16"
    with pytest.raises(DataError, match=f"`iconv -f {name} -t UTF-8 OLD > NEW`"):
        read_text(path, level=level)
    with pytest.raises(DataError, match="> NEW") as caught:
        read_text(path, level=level, vocabulary=zoo.data.Vocabulary("abc"))
    assert "level" not in str(caught.value)
    with pytest.raises(DataError, match="> NEW") as caught:
        read_text(path, level="char")
    assert "or read bytes with `level='byte'`" in str(caught.value)


def test_binary_file(tmp_path):
    path = write(tmp_path / "a.png", b"\x89PNG\0\0")
    with pytest.raises(DataError, match=r"a\.png' looks binary.*NUL byte at offset 4.*`level='byte'`"):
        read_text(path)
    with pytest.raises(DataError, match=r"looks UTF-16.*convert it to UTF-8"):
        read_text(write(tmp_path / "windows.txt", "hello".encode("utf-16")))


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_empty_text(tmp_path, data):
    with pytest.raises(DataError, match=r"nothing\.txt' is empty.*two different symbols"):
        read_text(write(tmp_path / "nothing.txt", data))


@pytest.mark.parametrize(("level", "shown"), [("char", "'a'"), ("byte", "97")])
def test_one_symbol(tmp_path, level, shown):
    with pytest.raises(DataError, match=rf"a\.txt' holds one symbol only \({shown}, 3 times\)"):
        read_text(write(tmp_path / "a.txt", b"aaa"), level=level)
    with pytest.raises(DataError, match=rf"one symbol only \({shown}, 1 time\)"):
        read_text(write(tmp_path / "b.txt", b"a"), level=level)


# -- what is not there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pydoc", "pydocs", "pydoc.txt", "bultin:pydoc", "builtin/pydoc"])
def test_missing_file_suggests_a_builtin(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no such file or directory; did you mean builtin:pydoc\?"):
        read_text(name)


def test_missing_file_has_no_far_suggestion(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as exc:
        read_text("shell.txt")
    advice = "give the path of a file or of a directory, '-' or builtin:NAME."
    assert str(exc.value) == f"shell.txt: no such file or directory; {advice}"
    with pytest.raises(DataError) as exc:
        read_text(tmp_path / "shell.txt")
    assert str(exc.value) == f"{tmp_path / 'shell.txt'}: no such file or directory; {advice}"


def test_file_instead_of_directory(tmp_path):
    path = write(tmp_path / "a.txt", b"ab")
    with pytest.raises(DataError, match=r"no such file or directory|cannot read"):
        read_text(path / "b.txt")


def test_nul_in_path():
    with pytest.raises(DataError, match="no such file or directory"):
        read_text("a\0b")


def test_control_characters_in_path_are_escaped():
    with pytest.raises(DataError) as exc:
        read_text("\x1b[31mred\udc80")
    assert str(exc.value).isprintable()


def test_unknown_builtin():
    with pytest.raises(
        DataError, match=r"unknown built-in text 'pydok'; did you mean builtin:pydoc\? Known: builtin:hello"
    ):
        read_text("builtin:pydok")
    with pytest.raises(DataError, match=r"unknown built-in text ''\. Known: .*builtin:stdlib"):
        read_text("builtin:")


def test_unreadable_file(tmp_path):
    path = write(tmp_path / "secret" / "a.txt", b"ab")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("to this user (root, or on Windows) nothing is unreadable")
    with pytest.raises(DataError, match=r"cannot read '.*a\.txt': permission denied"):
        read_text(path)
    path.chmod(0o600)
    path.parent.chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot read '.*secret': permission denied"):
            read_text(tmp_path)
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "permission denied"),
        (OSError(5, "Input/output error"), "Input/output"),
    ],
)
def test_read_errors(tmp_path, monkeypatch, error, words):
    def refuse(path: Path, mode: str) -> None:
        raise error

    path = write(tmp_path / "a.txt", b"ab")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=rf"cannot read '.*a\.txt': {words}"):
        read_text(path)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: read_text([]), "no source"),
        (lambda: read_text(b"a.txt"), "found int"),  # bytes are a sequence of integers
        (lambda: read_text([3]), "found int"),
        (lambda: read_text(["-", "-"]), "given twice"),
        (
            lambda: read_text("builtin:hello", level="line"),
            "level is 'line'; expected one of 'char', 'byte', 'word', 'token', 'tokenizer'.",
        ),
    ],
)
def test_invalid_arguments(call, words):
    with pytest.raises(UsageError, match=words):
        call()


# -- directories ---------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path) -> Path:
    root = tmp_path / "corpus"
    for name in ("b.txt", "a/z.txt", "a.txt", "B.md", ".hidden", ".git/config.txt", "a/deep/er/y.txt"):
        write(root / name, f"<{name}>".encode())
    return root


def test_directory_is_sorted_without_hidden_files(tree):
    corpus = read_text(tree)
    assert text_of(corpus) == "<B.md><a.txt><a/deep/er/y.txt><a/z.txt><b.txt>"
    assert corpus.name == "corpus"
    assert corpus.sha256 == hashlib.sha256(text_of(corpus).encode()).hexdigest()


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.md", "<B.md>"),
        ("*.txt", "<a.txt><a/deep/er/y.txt><a/z.txt><b.txt>"),
        ("**/*.txt", "<a.txt><a/deep/er/y.txt><a/z.txt><b.txt>"),
        ("a/*.txt", "<a/z.txt>"),
        ("[ab].txt", "<a.txt><b.txt>"),
    ],
)
def test_glob(tree, glob, expected):
    assert text_of(read_text(tree, glob=glob)) == expected


def test_hidden_directory_can_be_named(tree):
    assert text_of(read_text(tree / ".git")) == "<.git/config.txt>"


def test_name_of_the_current_directory(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert read_text(".").name == "corpus"


def test_no_matching_file(tree, tmp_path):
    with pytest.raises(
        DataError, match=r"corpus' matches '\*\.rst' \(hidden files are left out\); change `glob`"
    ):
        read_text(tree, glob="*.rst")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no file in directory .*empty'"):
        read_text(tmp_path / "empty")
    with pytest.raises(UsageError, match=r"'' is not a file pattern"):
        read_text(tree, glob="")


def test_bad_file_in_directory_is_named(tree):
    write(tree / "a" / "logo.png", b"\x89PNG\0")
    with pytest.raises(DataError, match=r"logo\.png' looks binary.*`glob='\*\.txt'"):
        read_text(tree)
    assert text_of(read_text(tree, glob="*.txt")).startswith("<a.txt>")
    assert 0x89 in read_text(tree, level="byte").symbols
    write(tree / "a" / "logo.png", b"\xff")
    with pytest.raises(DataError, match=r"logo\.png' is not UTF-8.*offset 0.*`glob='\*\.txt'"):
        read_text(tree)


def test_empty_files_and_boms_in_directory(tree):
    write(tree / "0", b"")
    write(tree / "1", b"\xef\xbb\xbfone")
    write(tree / "2", b"\xef\xbb\xbftwo")
    assert text_of(read_text(tree)).startswith("onetwo<B.md>")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_links(tree, tmp_path):
    write(tmp_path / "elsewhere" / "x.txt", b"<elsewhere>")
    (tree / "0").symlink_to(tmp_path / "elsewhere" / "x.txt")
    (tree / "00").symlink_to(tmp_path / "nowhere")
    (tree / "000").symlink_to(tree)  # a loop
    os.mkfifo(tree / "0000")  # reading it would hang
    assert text_of(read_text(tree)).startswith("<elsewhere><B.md><a.txt>")


def test_several_sources(tree, tmp_path):
    corpus = read_text([tree / "b.txt", "builtin:hello", tree / "a"])
    assert text_of(corpus) == "<b.txt>hello<a/deep/er/y.txt><a/z.txt>"
    assert corpus.name == "4 files"
    assert read_text([tree / "b.txt"]).name == "b"


# -- standard input ------------------------------------------------------------------------------------------


def test_standard_input(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("h\r\né".encode())))
    corpus = read_text("-")
    assert (corpus.name, text_of(corpus)) == ("stdin", "h\r\né")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"ab\xff")))
    with pytest.raises(DataError, match="standard input is not UTF-8: byte 0xff at offset 2"):
        read_text("-")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO()))
    with pytest.raises(DataError, match="standard input is empty"):
        read_text("-")


@pytest.mark.parametrize("stdin", [None, io.StringIO("text")])
def test_no_standard_input(monkeypatch, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(DataError, match="no standard input"):
        read_text("-")


def test_path_object_is_always_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "-", b"dash")
    assert text_of(read_text(Path("-"))) == "dash"
    with pytest.raises(DataError, match="no such file or directory"):
        read_text(Path("builtin:hello"))


# -- built-in texts ------------------------------------------------------------------------------------------


def test_builtins_are_listed():
    assert list(list_builtins()) == ["hello", "pydoc", "stdlib"]
    assert all(summary and "\n" not in summary for summary in list_builtins().values())


def test_hello():
    assert text_of(read_text("builtin:hello")) == "hello"


def test_pydoc_is_sorted_topics():
    from pydoc_data.topics import topics

    corpus = read_text("builtin:pydoc")
    assert corpus.name == "pydoc"
    assert text_of(corpus) == "".join(topics[key] for key in sorted(topics))
    assert len(corpus) > 300_000


def test_pydoc_ignores_topic_order(monkeypatch):
    monkeypatch.setattr("pydoc_data.topics.topics", {"b": "second", "a": "first "})
    assert text_of(read_text("builtin:pydoc")) == "first second"


def test_stdlib_is_source_without_tests():
    corpus = read_text("builtin:stdlib")
    text = text_of(corpus)
    assert corpus.size > 5_000_000
    assert "class JSONDecoder" in text  # json/decoder.py
    assert text.index("class ABCMeta(type)") < text.index("class JSONDecoder") < text.index("class ZipFile")
    assert "class IdleConfParser" not in text
    assert "build_time_vars" not in text.split("import zipfile")[-1]


def test_missing_pydoc_topics(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match=r"builtin:pydoc needs .*pydoc_data\.topics"):
        read_text("builtin:pydoc")


def test_stdlib_without_source(monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match="builtin:stdlib found no Python source"):
        read_text("builtin:stdlib")


def test_stdlib_skips_generated_files(monkeypatch, tmp_path):
    for name in ("z.py", "a/zz.py", "a/b.py", "a.py", "test/x.py", "a/tests/x.py", "site-packages/x.py"):
        write(tmp_path / name, f"<{name}>".encode())
    write(tmp_path / "_sysconfigdata__linux.py", b"<machine>")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert text_of(read_text("builtin:stdlib")) == "<a.py><a/b.py><a/zz.py><z.py>"


# -- properties ----------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")))
def test_text_round_trip(text):
    assume(len(set(text)) >= 2)
    corpus = corpus_of(text.encode())
    assert text_of(corpus) == text
    assert list(corpus.symbols) == sorted(set(text))


@given(st.one_of(st.binary(), st.text(min_size=2).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_fuzzed_bytes_are_read_or_raise(data):
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        text = ""
    if len(set(text)) >= 2 and "\0" not in text:
        assert text_of(corpus_of(data)) == text
    else:
        with pytest.raises(DataError, match="standard input"):
            corpus_of(data)


@given(st.binary(min_size=2).filter(lambda data: len(set(data)) > 1))
def test_bytes_round_trip(data):
    corpus = corpus_of(data, level="byte")
    assert list(corpus.symbols) == sorted(set(data))
    assert bytes(corpus.symbols[token] for token in corpus.tokens) == data


# -- other vocabularies, the room itself ---------------------------------------------------------------------


def test_tokens_in_another_vocabulary():
    corpus = corpus_of(b"hello")
    other = zoo.data.Vocabulary("xolleh"[:3] + "eh")
    assert other.decode(corpus.tokens_in(other)) == "hello"
    lacking = zoo.data.Vocabulary("hel")
    with pytest.raises(DataError, match=r"stdin: .* vocabulary: 'o'; .*`on_unknown='skip'`"):
        corpus.tokens_in(lacking)
    assert lacking.decode(corpus.tokens_in(lacking, on_unknown="skip")) == "hell"
    assert corpus.tokens_in(lacking, on_unknown="skip").dtype == np.int32
    with pytest.raises(DataError, match="read at level char, the vocabulary holds byte symbols"):
        corpus.tokens_in(zoo.data.Vocabulary(range(256)))


def test_data_package_imports_no_numba():
    code = "import sys, zoo.data; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_docstring_example():
    result = doctest.testmod(zoo.data)
    assert result.attempted > 0
    assert result.failed == 0


def test_public_names_are_sorted_and_exist():
    assert zoo.data.__all__ == sorted(zoo.data.__all__)
    assert all(hasattr(zoo.data, name) for name in zoo.data.__all__)

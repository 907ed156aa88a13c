"""Compressed tables, texts and sequences: equal to the file in them, and errors for damaged files."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.data import read_table, read_text, sources
from zoo.data.compression import open_data_file, uncompressed_name
from zoo.data.sequence_reader import SequenceRoles, read_sequences
from zoo.data.table_files import is_table_directory, is_table_file
from zoo.data.ts_file import is_ts_file
from zoo.errors import CheckpointError, DataError

COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
ENDINGS = pytest.mark.parametrize("ending", COMPRESS)
TS = b"@problemName Walks\n@classLabel true rest walk\n@data\n0,2,4:1,3,5:walk\n1:1:rest\n"
SETTINGS = {"cell": "gru", "hidden": 4, "steps": 4, "log_every": 2, "seed": 3}


def write(path, data):
    """Write a file, compressed if the ending of its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(COMPRESS.get(path.suffix, bytes)(data))
    return path


def walks(rows=120):
    lines = [f"{row // 6},{np.sin(row):.4f},{'ab'[row // 6 % 2]}" for row in range(rows)]
    return ("id,x,activity\n" + "\n".join(lines) + "\n").encode()


def same_tables(table, other):
    assert table.columns.keys() == other.columns.keys()
    for name, column in table.columns.items():
        assert (column.kind, column.categories) == (other.columns[name].kind, other.columns[name].categories)
        np.testing.assert_array_equal(column.values, other.columns[name].values)
    assert table.sha256 == other.sha256


# -- files that are equal to the file in them ----------------------------------------------------------------


@ENDINGS
@given(
    rows=st.lists(st.tuples(st.floats(-1e9, 1e9), st.sampled_from(["a", "b b", '"c\nd"', ""])), min_size=1)
)
def test_table_is_equal(tmp_path_factory, ending, rows):
    folder = tmp_path_factory.mktemp("tables")
    text = "".join(["x,color\n", *(f"{number!r},{color}\n" for number, color in rows)]).encode()
    plain = read_table(write(folder / "x.csv", text))
    table = read_table(write(folder / f"x.csv{ending}", text))
    same_tables(table, plain)
    assert table.name == f"x.csv{ending}"
    assert table.sha256 == hashlib.sha256(text).hexdigest()
    assert table.lines.of(len(table) - 1) == plain.lines.of(len(table) - 1)


@ENDINGS
@given(text=st.text(min_size=2).filter(lambda text: len(set(text)) > 1 and "\0" not in text))
def test_text_is_equal(tmp_path_factory, ending, text):
    folder, data = tmp_path_factory.mktemp("texts"), text.encode()
    for level in ("char", "byte") if len(set(data)) > 1 else ("char",):
        plain = read_text(write(folder / "poem.txt", data), level=level)
        corpus = read_text(write(folder / f"poem.txt{ending}", data), level=level)
        np.testing.assert_array_equal(corpus.tokens, plain.tokens)
        facts = ("name", "symbols", "sha256", "size")
        assert [getattr(corpus, name) for name in facts] == [getattr(plain, name) for name in facts]


@ENDINGS
def test_several_members_are_read(tmp_path, ending):
    path = tmp_path / f"x.csv{ending}"
    path.write_bytes(b"".join(map(COMPRESS[ending], [b"y\n1", b"2\n3", b"\n"])))
    assert read_table(path).numbers("y").tolist() == [12, 3]


@ENDINGS
def test_ts_file_is_equal(tmp_path, ending):
    paths = write(tmp_path / "Walks.ts", TS), write(tmp_path / f"Walks.TS{ending}", TS)
    assert all(is_ts_file(str(path)) for path in paths)
    plain, sequences = (read_sequences(path, SequenceRoles()) for path in paths)
    np.testing.assert_array_equal(sequences.values, plain.values)
    assert sequences.sha256 == plain.sha256 == hashlib.sha256(TS).hexdigest()
    assert not is_ts_file(str(write(tmp_path / f"main.ts{ending}", b"const walk = 1;\n")))


@ENDINGS
def test_directory_is_equal(tmp_path, ending):
    for name in ("walk/a.csv", "walk/a-1.csv", "rest/b.csv"):
        data = f"x\n{len(name)}\n2\n".encode()
        write(tmp_path / "plain/recordings" / name, data)
        write(tmp_path / "other/recordings" / (name + ending * (name != "rest/b.csv")), data)
    plain, table = (read_table(tmp_path / folder / "recordings") for folder in ("plain", "other"))
    same_tables(table, plain)
    assert table.where(0, "x") == "recordings/rest/b.csv, line 2, column 'x'"
    assert table.where(2, "x") == f"recordings/walk/a-1.csv{ending}, line 2, column 'x'"
    assert is_table_directory(str(tmp_path / "other"))


@ENDINGS
def test_one_sequence_has_the_name_of_the_file(tmp_path, ending):
    path = write(tmp_path / f"8.csv{ending}", b"x\n1\n2\n")
    roles = SequenceRoles(input=("x",), categories={})
    assert read_sequences(path, roles, needs_labels=False).ids == ("8",)


@pytest.mark.parametrize(
    ("name", "expected", "is_table"),
    [
        ("a.csv.gz", "a.csv", True),
        ("a.b.TSV.XZ", "a.b.TSV", True),
        ("a.parquet.bz2", "a.parquet", True),
        ("a.gz", "a", False),
        (".gz", ".gz", False),
        ("csv.gz", "csv", False),
        ("a.csv", "a.csv", True),
        ("gz", "gz", False),
    ],
)
def test_endings(name, expected, is_table):
    assert (uncompressed_name(name), is_table_file(name)) == (expected, is_table)


# -- runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "options"),
    [
        ("walks.csv", walks(), {"target": "x", "horizon": 2, "context": 4}),
        ("walks.csv", walks(), {"label": "activity", "series": "id"}),
        ("walks.txt", walks(600), {}),
    ],
)
def test_training_is_equal_and_resumes_with_either_file(tmp_path, name, data, options):
    plain, packed = write(tmp_path / name, data), write(tmp_path / f"{name}.gz", data)
    options = {**SETTINGS, **options}
    expected = zoo.train(plain, out=tmp_path / "plain", **options)
    zoo.train(packed, out=tmp_path / "packed", **{**options, "steps": 2})
    result = zoo.train(packed, out=tmp_path / "packed", resume=True, **options)
    assert np.array_equal(result.model.theta, expected.model.theta)
    longer = zoo.train(plain, out=tmp_path / "packed", resume=True, **{**options, "steps": 6})
    zoo.train(packed, out=tmp_path / "plain", resume=True, **{**options, "steps": 6})
    assert longer.config.data == (str(plain),)
    write(packed, data.replace(b"0.8415", b"0.8416"))
    with pytest.raises(CheckpointError, match="has changed since"):
        zoo.train(packed, out=tmp_path / "plain", resume=True, **{**options, "steps": 8})


# -- invalid files -------------------------------------------------------------------------------------------


def readers(path):
    roles = SequenceRoles("activity", series="id")
    return [lambda: read_table(path), lambda: read_text(path), lambda: read_sequences(path, roles)]


@ENDINGS
@pytest.mark.parametrize("rows", [6, 20_000])
@settings(max_examples=20)
@given(data=st.data())
def test_truncated_file_is_named(tmp_path_factory, ending, rows, data):
    path = write(tmp_path_factory.mktemp("files") / f"walks.csv{ending}", CONTENTS[rows])
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(6, len(whole) - 1))])
    program = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}[ending]
    for read in readers(path):
        with pytest.raises(
            DataError, match=r"walks.csv.* ends before the end of its data; expected a"
        ) as error:
            read()
        assert str(error.value).endswith(
            f"complete file, compressed with {program}. Copy it again, and check it with `{program} -t FILE`."
        )


CONTENTS = {rows: walks(rows) for rows in (6, 20_000)}


@ENDINGS
@given(data=st.data())
def test_changed_byte_is_an_error_or_changes_nothing(tmp_path_factory, ending, data):
    path = write(tmp_path_factory.mktemp("files") / f"walks.csv{ending}", CONTENTS[6])
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        table = read_table(path)
    except DataError as error:
        assert str(error).startswith(f"walks.csv{ending} ")  # noqa: PT017 - either is right
    else:
        assert table.sha256 == hashlib.sha256(CONTENTS[6]).hexdigest()


@ENDINGS
def test_file_that_is_not_compressed_is_named(tmp_path, ending):
    path = tmp_path / f"walks.csv{ending}"
    path.write_bytes(walks())
    for read in readers(path):
        with pytest.raises(
            DataError, match=f"is not compressed with .*; expected it, because .* {ending}. Ren"
        ):
            read()


@ENDINGS
def test_missing_module_is_named(tmp_path, ending, monkeypatch):
    path = write(tmp_path / f"walks.csv{ending}", walks())
    monkeypatch.setitem(sys.modules, {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}[ending], None)
    with pytest.raises(
        DataError, match=rf"cannot read walks.csv{ending}: this Python .* decompress .* -d FILE`"
    ):
        read_table(path)


def test_messages_name_the_file_and_the_line(tmp_path):
    path = write(tmp_path / "walks.csv.gz", walks() + b"9,1\n")
    with pytest.raises(DataError, match=r"^walks\.csv\.gz, line 122: found 2 values; expected 3"):
        read_table(path)
    with pytest.raises(DataError, match=r"x\.csv\.gz is empty; expected a line with the names"):
        read_table(write(tmp_path / "x.csv.gz", b""))


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_other_compressed_tables_are_named(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}.bz2", b"data")
    with pytest.raises(DataError, match=rf"x{suffix}.bz2 is a compressed {suffix} file; .*`bzip2 -d FILE`"):
        read_table(path)


@pytest.mark.parametrize("read", [read_table, read_text])
def test_file_and_its_compressed_copy_are_an_error(tmp_path, read):
    write(tmp_path / "walk/a.csv", walks())
    write(tmp_path / "walk/a.csv.gz", walks())
    with pytest.raises(DataError, match=r"holds 'walk/a\.csv' and 'walk/a\.csv\.gz'; expected one of them"):
        read(tmp_path)


@ENDINGS
def test_limit_counts_decompressed_bytes(tmp_path, ending):
    path = write(tmp_path / f"a.txt{ending}", b"ab" * 50_000)
    assert read_text(path, max_bytes=100_000).size == 100_000
    with pytest.raises(DataError, match="exceeds the limit of"):
        read_text(path, max_bytes=99_999)
    with pytest.raises(DataError, match="exceeds the limit of"):
        read_text([path, path], max_bytes=150_000)
    assert path.stat().st_size < 1000 < sources.MAX_CONFIGURED_BYTES


def test_file_is_closed(tmp_path):
    file = open_data_file(write(tmp_path / "a.txt.gz", b"text"), "a.txt.gz")
    with file:
        assert file.read() == b"text"
    assert all(each.closed for each in file.raw._open_files)


def test_compressed_standard_input_is_named(monkeypatch):
    buffer = io.BytesIO(gzip.compress(walks()))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer, isatty=lambda: False))
    with pytest.raises(
        DataError, match=r"standard input is compressed with gzip; .*`gzip -dc FILE.csv.gz \| zoo"
    ):
        read_table("-")

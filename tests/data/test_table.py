"""Tables: CSV and other files, arrays and data frames, types of columns, and errors that name the line."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import importlib.util
import io
import itertools
import sys
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.data import DataTable, as_table, growing_array, read_table
from zoo.data.csv_table import read_csv
from zoo.data.growing_array import GrowingArray, allocate
from zoo.data.joined_column import JoinedColumn
from zoo.data.table import finite_hint, mixed_kind
from zoo.data.text_values import expected_value, is_time_text, plain_number
from zoo.errors import DataError, MissingSourceError, UsageError


def csv(text, name="x.csv"):
    return read_csv(io.BytesIO(text if isinstance(text, bytes) else text.encode()), name)


def test_types_of_columns_are_inferred():
    table = csv("day,load,color,empty\n2024-05-01,1.5,red,\n2024-05-02,-2e3,blue,NA\n2024-05-03,,red,\n")
    assert table.describe() == "day (time), load (number), color (category, 2 values), empty (number)"
    assert len(table) == 3
    np.testing.assert_array_equal(table.numbers("load"), [1.5, -2000, np.nan])
    color = table.column("color")
    assert (color.values.tolist(), color.categories) == ([0, 1, 0], ("red", "blue"))
    assert np.isnan(table.numbers("empty")).all()
    assert table.column("day").values[2] == np.datetime64("2024-05-03")


def test_digest_is_the_digest_of_the_file(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a\n1\n2\n\n\n")
    assert read_table(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("delimiter", list(",;\t|"))
def test_delimiter_is_the_most_frequent_of_the_header(delimiter):
    table = csv(f"a{delimiter}b\n1{delimiter}2\n")
    assert [table.numbers(name)[0] for name in ("a", "b")] == [1, 2]


def test_byte_order_mark_and_line_ends_of_windows_are_read():
    table = csv(b"\xef\xbb\xbfa,b\r\n1,x\r\n2,y\r\n")
    assert table.describe() == "a (number), b (category, 2 values)"


def test_lines_are_counted_across_quoted_line_breaks_and_blank_lines():
    table = csv('a;b\n1;"x\ny"\n\n2;z\n3;w\n')
    assert table.column("b").categories == ("x\ny", "z", "w")
    assert [table.where(row, "a") for row in range(3)] == [
        "x.csv, line 2, column 'a'",
        "x.csv, line 5, column 'a'",
        "x.csv, line 6, column 'a'",
    ]


def test_lines_are_counted_over_several_blocks(monkeypatch):
    monkeypatch.setattr("zoo.data.csv_table._ROWS", 3)
    table = csv("a\n" + "".join(f"{n}\n" + "\n" * (n == 4) for n in range(10)))
    assert table.numbers("a").tolist() == list(range(10))
    assert [table.where(row).rpartition(" ")[2] for row in (0, 4, 5, 9)] == ["2", "6", "8", "12"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01T13:00", "2024-05-01T13:00"),
        ("2024-05-01 13:00:01.25", "2024-05-01T13:00:01.25"),
        ("2024-05-01T13:00Z", "2024-05-01T13:00"),
        ("2024-05-01T13:00+02:00", "2024-05-01T11:00"),
        ("1958-03", "1958-03-01"),
    ],
)
def test_times_are_iso_8601_and_utc(text, moment):
    column = csv(f"t,x\n{text},1\n,2\n").column("t")
    assert column.kind == "time"
    assert column.values[0] == np.datetime64(moment)
    assert np.isnat(column.values[1])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "x.csv is empty; expected a line with the names of the columns, then the values."),
        ("a,b\n", "x.csv has a header and no rows; give at least one row."),
        ("1,2\n3,4\n", "x.csv has no header: its first line holds numbers (1, 2); add a line with"),
        ("a,a\n1,2\n", "x.csv, line 1: found the name 'a' twice; give each column a name of its own."),
        ("a,\n1,2\n", "x.csv, line 1: found a column without a name"),
        ("a,b\n1,2\n3\n", "x.csv, line 3: found 1 value; expected 2, one for each column of the header."),
        ("a,b\n1,2\n1,2,3\n", "x.csv, line 3: found 3 values; expected 2"),
        ("a\n" + "1\n" * 1000 + "bad\n", "x.csv, line 1002, column 'a': found 'bad'; expected a number, as"),
        (
            "a\n" + "2024-01-01\n" * 1000 + "1.5\n",
            "line 1002, column 'a': found '1.5'; expected a time such as",
        ),
        ("a\n" + "1\n" * 1000 + "-\n", "as in the lines before. Leave it empty if the value is missing."),
        (
            b"a\n\xff\n",
            "x.csv is not UTF-8: byte 0xff in line 2 (invalid start byte); save it as UTF-8. For a",
        ),
        (b"a\n" + b"1\n" * 9000 + b"\r\nb\xe4r\n", "not UTF-8: byte 0xe4 in line 9003 (invalid continuation"),
        (b"\xe4\n1\n", "not UTF-8: byte 0xe4 in line 1 ("),
        (b"a\n\xaa\x00\x01", "x.csv looks binary, not UTF-8 text; expected CSV. Save it as CSV in UTF-8."),
        (b"a\x00\x01\n", "x.csv looks binary, not UTF-8 text"),
        ("\ufeffa\n1\n".encode("utf-16-le"), "x.csv looks UTF-16, not UTF-8 text"),
        (
            "2023-12-31 23:58,15.2\n",
            "x.csv has no header: its first line holds values (2023-12-31 23:58, 15.2)",
        ),
        (
            '"a\n1\n',
            "x.csv, line 1: the values from here on are not CSV (unexpected end of data); close each",
        ),
        ('a\n1\n\n"2\n3\n4\n', "x.csv, line 4: the values from here on are not CSV (unexpected end of data)"),
        ('a\n"1\n\n1"\n"2"3\n4\n', "x.csv, line 5: the values from here on are not CSV (',' expected after"),
        ("a\n" + "1\n" * 40_000 + '"2\n', "x.csv, line 40002: the values from here on are not CSV"),
        (
            "a\n1\n" + '"2\n' + "3\n" * 70_000,
            "x.csv, line 3: the values from here on are not CSV (field larg",
        ),
    ],
)
def test_errors_of_files_name_the_line(text, sentence):
    with pytest.raises(DataError) as error:
        csv(text)
    assert sentence in str(error.value)


def test_missing_column_is_an_error_with_the_names():
    with pytest.raises(
        DataError, match=r"x.csv has no column 'lod'; its columns are load \(number\)\. Did you"
    ):
        csv("load\n1\n").column("lod")


def test_missing_column_of_a_file_without_header_is_an_error_with_a_hint():
    with pytest.raises(DataError, match=r"The first line looks like values; add a line with the names"):
        csv("2023-12-31 23:58,15.2,idle\n2023-12-31 23:59,15.3,run\n").column("temp")


def test_swapped_letters_suggest_a_column_that_can_be_a_target():
    table = csv("time,temp,tepm\n2024-05-01,1,u\n2024-05-02,2,v\n")
    for name in ("tmep", "tepmm"):
        with pytest.raises(DataError, match=r"Did you mean 'temp'\?$"):
            table.target(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "mode",
            "x.csv: mode is a column of text values (2 values); a target needs numeric values: temp, power.",
        ),
        ("time", "x.csv: time is a column of times; a target needs numeric values: temp, power."),
        (
            "bad",
            "line 3, column 'bad': found '-'; expected a number. Correct the value, leave it empty if it",
        ),
    ],
)
def test_target_that_is_no_number_is_an_error(name, sentence):
    table = csv("time,temp,mode,power,bad\n2024-05-01,1,idle,2,3\n2024-05-02,2,run,3,-\n")
    with pytest.raises(DataError) as error:
        table.target(name)
    assert sentence in str(error.value)


def test_decimal_commas_are_read_between_semicolons():
    table = csv("t;x;n;word\n2024-05-01;15,214;3;1,5\n2024-05-02;-2,5e1;NA;a,b\n2024-05-03;7;4;c.d\n")
    assert table.numbers("x").tolist() == [15.214, -25, 7]
    assert table.describe() == "t (time), x (number), n (number), word (category, 3 values)"
    assert table.column("word").categories == ("1,5", "a,b", "c.d")


@pytest.mark.parametrize("other", ["0,512", "1234,567", "2,50", "1,2e3"])
def test_one_decimal_comma_shows_that_commas_are_no_thousands(other):
    assert csv(f"x;y\n1,234;1\n12,345;2\n3;{other}\n").numbers("x").tolist() == [1.234, 12.345, 3]


def test_decimal_commas_are_read_in_later_blocks(monkeypatch):
    monkeypatch.setattr("zoo.data.csv_table._ROWS", 2)
    assert csv("x;y\n1;a\n2;b\n3,5;c\n").numbers("x").tolist() == [1, 2, 3.5]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'x,y\n"15,2",1\n"15,3",2\n',
            "line 2, column 'x': found '15,2'; expected a number. Write 15.2. Decimal",
        ),
        (
            "x;y\n15,2;a\nbad;b\n16,5;c\n",
            "x.csv, line 3, column 'x': found 'bad'; expected a number. Correct",
        ),
        (
            "x;y\n15,2;1.234\n15,3;2\n",
            "x.csv, line 2, column 'x': found '15,2', and '1.234' in line 2, column 'y'; expected decimal",
        ),
        (
            "x;y\n950;1\n1,234;2\n-12,000;3\n",
            "x.csv, line 3, column 'x': found '1,234', and all numbers with a comma have three digits",
        ),
        (
            "x;y\n1,234;1\n2;2\n",
            "x.csv, line 2, column 'x': found '1,234', and all numbers with a comma have",
        ),
        ("x;y\n1.5;a\n1,5;b\n", "line 3, column 'x': found '1,5', and '1.5' in line 2, column 'x'"),
    ],
)
def test_other_decimal_commas_are_errors(text, sentence):
    with pytest.raises(DataError) as error:
        csv(text).target("x")
    assert sentence in str(error.value)


def test_text_in_a_column_of_numbers_is_an_error_with_the_line():
    table = csv("a,b\n1,2\nx,3\n4,5\n6,7\n")
    assert mixed_kind(table.column("a")) == "number"
    with pytest.raises(DataError, match=r"x\.csv, line 3, column 'a': found 'x'; expected a number"):
        table.numbers("a")


@pytest.mark.parametrize("codes", [["1_2", "3_1"], ["1_000"], ["7", "1_0"], ["", "2_1"]])
@pytest.mark.parametrize("numbers", [0, 20_000])
def test_numbers_with_underscores_are_names(codes, numbers):
    """float() reads 3_1 as 31."""
    text = "a\tb\n" + "".join(f"{number % 7}\t1\n" for number in range(numbers))
    text += "".join(f"{code}\t1\n" for code in codes)
    if numbers:
        at = numbers + 2 + ["_" in code for code in codes].index(True)
        with pytest.raises(DataError, match=rf"line {at}, column 'a': found '\d_\d+'; expected a number"):
            csv(text)
    else:
        assert csv(text).column("a").categories == tuple(code for code in codes if code)
        assert csv(text.replace("a\tb", "1_2\t7")).column("1_2").kind == "category"  # a header


def test_many_texts_are_an_error_with_the_value_that_made_them(monkeypatch):
    monkeypatch.setattr("zoo.data.csv_table._MAX_CATEGORIES", 3)
    days = "".join(f"2024-05-0{day}\n" for day in range(1, 5))
    with pytest.raises(
        DataError, match="more than 3 different text values, 'noon' among times; correct this value"
    ):
        csv(f"t\nnoon\n{days}")
    with pytest.raises(DataError, match="3 different text values; remove it from the file"):
        csv("t\na\nb\nc\nd\n")


@pytest.mark.parametrize("limit", [10, 2**26])
def test_large_columns_are_in_files_with_equal_values(limit, monkeypatch):
    monkeypatch.setattr(growing_array, "MAX_BYTES_IN_MEMORY", limit)
    growing, blocks = GrowingArray(np.float64), [np.arange(3.0), np.arange(3.0, 4.0), np.arange(4.0, 9.0)]
    for block in blocks:
        growing.append(block)
    values = growing.finish()
    np.testing.assert_array_equal(values, np.arange(9.0))
    assert isinstance(values.base, np.memmap) == (limit == 10)
    matrix = allocate((3, 2), "float32")
    matrix[:] = 7
    assert matrix.sum() == 42


# ---- arrays and data frames ---------------------------------------------------------------------------


def test_table_of_a_mapping():
    table = DataTable.from_arrays(
        {
            "n": [1, None, 3.5],
            "flag": np.array([True, False, True]),
            "word": ["a", None, "b"],
            "day": [datetime.date(2024, 5, 1), None, datetime.datetime(2024, 5, 2, 6)],
            "t": np.array(["2024-05-01", "NaT", "2024-05-03"], "M8[D]"),
        }
    )
    kinds = "n (number), flag (number), word (category, 2 values), day (time), t (time)"
    assert table.describe() == kinds
    assert [column.missing().tolist() for column in table.columns.values()] == [
        [False, name != "flag", False] for name in table.columns
    ]
    assert table.column("day").values[2] == np.datetime64("2024-05-02T06")
    assert table.where(1) == "table, row 1"


def test_table_of_arrays():
    table = as_table(np.arange(6.0).reshape(3, 2))
    assert table.numbers("1").tolist() == [1, 3, 5]
    structured = np.array([(1, "x"), (2, "y")], [("n", "i4"), ("s", "U1")])
    assert as_table(structured).describe() == "n (number), s (category, 2 values)"
    assert as_table(table) is table


class Frame:
    """A data frame as pandas and polars have it."""

    columns = ("x", "y")

    def __dataframe__(self):
        raise AssertionError("columns by name are enough")

    def __getitem__(self, name):
        return SimpleNamespace(to_numpy=lambda: np.array([1.0, 2.0]) + (name == "y"))


class ArrowTable(Frame):
    """A table as pyarrow has it."""

    columns = (None, None)
    column_names = ("x", "y")


class TwoColumns(Frame):
    columns = ("a", "a")


@pytest.mark.parametrize("frame", [Frame(), ArrowTable()])
def test_table_of_a_data_frame(frame):
    table = as_table(frame)
    assert [table.numbers(name).tolist() for name in table.columns] == [[1, 2], [2, 3]]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_table_of_a_real_data_frame(library):
    module = pytest.importorskip(library)
    columns = {
        "n": [1.5, None],
        "k": [1, 2],
        "word": ["a", "b"],
        "day": [datetime.datetime(2024, 5, 1), datetime.datetime(2024, 5, 2)],
    }
    frame = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    table = as_table(frame)
    assert table.describe() == "n (number), k (number), word (category, 2 values), day (time)"
    assert np.isnan(table.numbers("n")[1])


class OnlyProtocol:
    """A data frame of which only one protocol is known."""

    def __init__(self, frame, protocol):
        setattr(type(self), protocol, lambda self, *given, **named: getattr(frame, protocol)(*given, **named))


@pytest.mark.parametrize("protocol", ["__arrow_c_stream__", "__dataframe__"])
def test_protocols_and_series_of_other_libraries(protocol):
    pyarrow = pytest.importorskip("pyarrow")
    frame = pyarrow.table({"n": [1.5, 2.5], "word": ["a", "b"]})
    table = as_table(type(protocol, (OnlyProtocol,), {})(frame, protocol))
    assert table.describe() == "n (number), word (category, 2 values)"
    pandas = pytest.importorskip("pandas")
    series = pandas.Series([1.5, 2.5], pandas.date_range("2024-05-01", periods=2), name="load")
    assert as_table(series).describe() == "time (time), load (number)"


@pytest.mark.parametrize("protocol", ["__arrow_c_stream__", "__dataframe__"])
@pytest.mark.parametrize("message", ["describes non-struct type int64\nDetail: ...", ""])
def test_stream_that_is_no_table_is_an_error(protocol, message, monkeypatch):
    """As of a chunked array or a tensor: pyarrow raises its own errors and those of the producer."""

    class ArrowException(Exception):
        pass

    def convert(data):
        raise ArrowException(message) if message else RuntimeError

    interchange = SimpleNamespace(from_dataframe=convert)
    arrow = SimpleNamespace(table=convert, ArrowException=ArrowException, interchange=interchange)
    monkeypatch.setitem(sys.modules, "pyarrow", arrow)
    monkeypatch.setitem(sys.modules, "pyarrow.interchange", interchange)
    reason = message.partition("\n")[0] or "RuntimeError"
    with pytest.raises(DataError) as error:
        as_table(type("Tensor", (), {protocol: None})())
    assert (
        str(error.value) == f"table is a Tensor, which is not a table ({reason}); expected columns by name."
    )


def test_arrays_and_tensors_of_pyarrow_are_errors():
    arrow = pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="table is a ChunkedArray, which is not a table"):
        as_table(arrow.chunked_array([[1, 2]]))
    with pytest.raises(UsageError, match="expected a mapping from names to columns, an array or a data fra"):
        as_table(arrow.Tensor.from_numpy(np.ones((2, 2))))


@pytest.mark.parametrize("freq", ["D", "M", "h", "Y"])
def test_periods_are_times(freq):
    pandas = pytest.importorskip("pandas")
    periods = pandas.Series(pandas.period_range("2024-05-01", periods=4, freq=freq)).where(
        [True, True, False, True]
    )
    table = as_table(pandas.DataFrame({"month": periods, "n": [1.0, 2.0, 3.0, 4.0]}))
    assert table.describe() == "month (time), n (number)"
    np.testing.assert_array_equal(
        table.column("month").values, periods.dt.to_timestamp().to_numpy().astype("M8[us]")
    )


@pytest.mark.parametrize("levels", [2, 3])
def test_index_with_levels_is_an_error(levels):
    pandas = pytest.importorskip("pandas")
    index = pandas.MultiIndex.from_product([range(2)] * levels)
    frame = pandas.DataFrame({"n": np.arange(2.0**levels)}, index)
    for data in (frame, frame["n"]):
        with pytest.raises(UsageError, match=rf"table has an index of {levels} levels.*data.reset_index\(\)"):
            as_table(data)
    assert as_table(frame.reset_index()).describe().endswith("n (number)")


def test_dates_in_the_index_are_a_column():
    pandas = pytest.importorskip("pandas")
    for days, text in (
        (pandas.date_range("2024-05-01", periods=2), "2024-05-02"),
        (pandas.date_range("2024-05-01", periods=2, tz="UTC"), "2024-05-02 00:00Z"),
        (pandas.Index(["2024-05-01", "2024-05-02"]), "2024-05-02"),
        (pandas.period_range("2024-05-01", periods=2, freq="D"), "2024-05-02"),
    ):
        table = as_table(pandas.DataFrame({"n": [1.5, 2.5]}, days))
        assert table.describe() == "time (time), n (number)"
        assert table.column("time").text(1) == text
        assert list(as_table(pandas.DataFrame({"n": [1.5, 2.5]}, days.rename("day"))).columns) == ["day", "n"]
    with_day = {"n": [1.5, 2.5], "day": days.to_timestamp()}
    assert list(as_table(pandas.DataFrame(with_day, days)).columns) == ["time", "n", "day"]
    assert list(as_table(pandas.DataFrame(with_day, days.rename("day"))).columns) == ["day", "n"]
    assert list(as_table(pandas.DataFrame({"n": [1.5, 2.5]})).columns) == ["n"]
    assert list(as_table(pandas.DataFrame({"n": [1.5, 2.5]}, ["a", "b"])).columns) == ["n"]


@pytest.mark.parametrize(
    ("text", "has_zone"),
    [
        ("2024-05-01 13:00 UTC", True),
        ("2024-05-01 13:00CET", True),
        ("2024-05-01 1:00 PM CET", True),
        ("31.12.2023 23:58:10.5 Europe/Berlin", True),
        ("2024-05-01 1:00 PM", False),
        ("2024-05-01 1:00pm", False),
        ("2024-05-01 1:00 p.m.", False),
        ("31.12.2023 23:58", False),
        ("31.12.2023", False),
    ],
)
def test_advice_for_a_time_with_a_zone_names_an_offset(text, has_zone):
    zone = ", with an offset such as +02:00 for a zone" if has_zone else ""
    assert expected_value("time", text).endswith(f"; write it as 2024-05-01 13:00{zone}")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("19.500,90", "19500.90"),
        ("-1.234,5", "-1234.5"),
        ("1,234,567", "1234567"),
        ("1 234,5", "1234.5"),
        ("1'234'567.25", "1234567.25"),
        ("19.50 kW", "19.50"),
        ("1,5 kW", "1.5"),
        ("20%", "20"),
        ("\u221210.5", "-10.5"),
        ("1\u202f234,5", "1234.5"),
        ("1 234", "1234"),
        ("12'345", "12345"),
        ("1\u00a0234\u00a0567", "1234567"),
        ("1\u2019234\u2019567.5", "1234567.5"),
        ("\u20ac10.5", "10.5"),
        ("-$ 3", "-3"),
        ("\u00a3\u22121,234.5", "-1234.5"),
        ("$1,234", None),
        ("$", None),
        ("\u2212inf", None),
        ("\u2212nan", None),
        ("$1e400", None),
        ("$1e101", None),
        ("$1e100", "1e100"),
        ("19,501 kW", None),
        ("19,501", None),
        ("2024-05-01", None),
        ("10:30", None),
        ("sun", None),
        ("", None),
    ],
)
def test_number_in_a_text_is_proposed(text, number):
    assert plain_number(text) == number
    if number is None:
        return
    with pytest.raises(DataError) as error:
        csv(f"y;z\n{text};1\n{text};2\n").target("y")
    assert str(error.value).endswith(f"x.csv, line 2, column 'y': found {text!r}; write {number}.")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("19,501", "Write 19.501 if the comma separates decimals, or 19501 if it separates thousands."),
        ("0,501", "Write 0.501. Decimal commas are read only"),
        ("1234,5", "Write 1234.5. Decimal commas are read only"),
    ],
)
def test_comma_that_may_separate_thousands_has_two_readings(text, advice):
    with pytest.raises(DataError, match=advice):
        csv(f'y,z\n"{text}",1\n"{text}",2\n').target("y")


@pytest.mark.parametrize(
    ("size", "name", "advice"),
    [
        (50, "x.csv", "Rename it: zoo decompresses files whose names end in .gz."),
        (100_000, "standard input", "Decompress it: `gzip -dc FILE.csv.gz"),
    ],
)
def test_compressed_files_are_named(size, name, advice):
    data = gzip.compress(b"y,z\n" + b"1,2\n" * size)
    with pytest.raises(DataError, match=rf"{name} is compressed with gzip; expected CSV. {advice}"):
        csv(data, name)


@pytest.mark.parametrize(
    ("header", "hint"), [(",a,b", True), ("a,,b", False), (",,b", False), ("a,a,b", False)]
)
def test_index_of_pandas_is_named(header, hint):
    with pytest.raises(DataError, match="line 1: found") as error:
        csv(f"{header}\n0,1,2\n")
    assert ("index=False" in str(error.value)) == hint


@pytest.mark.parametrize("value", [97.508, 0.1, 1.0, -2.5e-7, 1 / 3, 12345678.0])
def test_numbers_as_categories_have_few_digits(value):
    (text,) = as_table({"y": [value, value]}).column("y").as_category().categories
    assert float(text) == value
    assert len(text) <= len(repr(value))


TEXTS_OF_TIMES = [
    ["2024-05-01", "2024-05-02"],
    ["2024-05-01 13:00:00", "2024-05-01T14:00"],
    ["2024-05-01 13:00+02:00", "2024-05-01 14:00:30+02:00"],
    ["2024-05-01 13:00-05:00", "2024-05-01 14:00-05:00"],
    ["2024-05-01T13:00Z", "2024-05-01T14:00Z"],
    [" 2024-05-01 13:00 ", "2024-05-01 14:00 "],
]


def forms_of_texts(texts):
    """The texts in every form of a table, and a parquet file if pyarrow is there."""
    yield {"when": texts}
    yield {"when": np.array(texts)}
    yield {"when": np.array(texts, object)}
    for library in ("pandas", "polars"):
        if importlib.util.find_spec(library):
            yield importlib.import_module(library).DataFrame({"when": texts})
    if importlib.util.find_spec("pyarrow"):
        arrow = importlib.import_module("pyarrow")
        yield arrow.table({"when": texts})
        yield arrow.table({"when": arrow.array(texts).dictionary_encode()})


@pytest.mark.parametrize("texts", TEXTS_OF_TIMES)
@pytest.mark.parametrize("missing", [(), ("",), (None,), ("NaT",)])
def test_texts_of_times_are_read_as_in_csv(texts, missing):
    """A data frame or a mapping with times as texts is the same table as its CSV file."""
    texts = [*texts, *missing]
    lines = [("" if text is None else text) + ",0" for text in texts]
    expected = csv("when,n\n" + "\n".join(lines) + "\n").column("when")
    assert expected.kind == "time"
    assert expected.is_utc == texts[0].endswith((":00+02:00", ":00-05:00", "Z"))
    for data in forms_of_texts(texts):
        column = as_table(data).column("when")
        assert (column.kind, column.is_utc) == ("time", expected.is_utc)
        np.testing.assert_array_equal(column.values, expected.values)
        assert column.text(0) == expected.text(0)


@pytest.mark.parametrize("other", ["2024-13-01", "monday", "01.05.2024", "7"])
def test_column_with_a_text_that_is_no_time_stays_a_category(other):
    for data in forms_of_texts(["2024-05-01", other]):
        assert as_table(data).column("when").kind == "category"


def test_zones_of_data_frames_are_kept_as_utc():
    """A column with a zone has the times of UTC, marked with ``Z`` in texts."""
    pandas = pytest.importorskip("pandas")
    times = pandas.date_range("2024-03-30 23:00", periods=30, freq="h", tz="Europe/Berlin")
    frames = [pandas.DataFrame({"when": times}), {"when": list(times)}, {"when": times.astype(str).tolist()}]
    if importlib.util.find_spec("polars"):
        frames.append(importlib.import_module("polars").from_pandas(frames[0]))
    if importlib.util.find_spec("pyarrow"):
        frames.append(importlib.import_module("pyarrow").Table.from_pandas(frames[0]))
    for frame in frames:
        column = as_table(frame).column("when")
        assert column.is_utc
        assert column.text(0) == "2024-03-30 22:00Z"
        assert (np.diff(column.values) == np.timedelta64(1, "h")).all()


@pytest.mark.parametrize(
    "with_offset", ["2024-05-01 14:00+02:00", "2024-05-01 14:00-02:00", "2024-05-01T14:00Z"]
)
@pytest.mark.parametrize("comes_first", [False, True])
def test_times_with_and_without_an_offset_are_an_error(with_offset, comes_first):
    texts = [with_offset, "2024-05-01 13:00"][:: 1 if comes_first else -1]
    for data in forms_of_texts(texts):
        with pytest.raises(
            DataError, match="expected an offset from UTC in all times of a column, or in none"
        ):
            as_table(data)
    with pytest.raises(
        DataError, match=r"x.csv, column 'when': found .* in line \d and .* in line \d; expected"
    ):
        csv("when,n\n" + "".join(f"{text},1\n" for text in texts))


@pytest.mark.parametrize(
    ("data", "error", "sentence"),
    [
        ({}, DataError, "table has no columns."),
        ({"": [1]}, DataError, "table has a column without a name; give each column a name."),
        ({"a": [1], "b": [1, 2]}, DataError, "columns have different lengths: a has 1 row, b has 2 rows."),
        (
            {"a": [[1]]},
            UsageError,
            "column 'a' is int64(1, 1); expected one dimension, or `kind='sequences'`",
        ),
        (
            {"a": [1, "x"]},
            UsageError,
            "table, row 1, column 'a': found 'x' of the type str, and numeric values in other rows; expected",
        ),
        (
            {"a": [[1], [2, 3]]},
            UsageError,
            "table, row 0, column 'a': found [1] of the type list; expected numeric values",
        ),
        ({"a": [None, datetime.time(1)]}, UsageError, "row 1, column 'a': found datetime.time(1, 0) of the"),
        (
            {"a": [1j]},
            UsageError,
            "column 'a' has the type complex128; expected numeric values, text values or times.",
        ),
        (np.zeros((2, 2, 2)), UsageError, "expected rows and columns, (N, C)."),
        (TwoColumns(), DataError, "table has the column 'a' twice; give each column a name of its own."),
        (5, UsageError, "table is 5; expected a mapping from names to columns, an array or a data frame."),
    ],
)
def test_invalid_tables_are_errors(data, error, sentence):
    with pytest.raises(error) as raised:
        as_table(data)
    assert sentence in str(raised.value)


# ---- files --------------------------------------------------------------------------------------------


@given(
    data=st.data(), rows=st.integers(3, 50), odd=st.sampled_from(["n/a", "high", datetime.date(2024, 5, 1)])
)
def test_value_of_another_type_is_named_with_its_row(data, rows, odd):
    values = [None if row % 7 == 6 else float(row) for row in range(rows)]
    row = data.draw(st.integers(0, rows - 1))
    values[row] = odd
    with pytest.raises(UsageError) as error:
        as_table({"hr": np.array(values, object)})
    kind = type(odd).__name__
    sentence = (
        f"table, row {row}, column 'hr': found {odd!r} of the type {kind}, and numeric values in other rows;"
    )
    assert str(error.value).startswith(sentence)


def test_numpy_files(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3), word=np.array(["u", "v", "u"]))
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    assert read_table(tmp_path / "x.npz").describe() == "a (number), word (category, 2 values)"
    assert read_table(tmp_path / "x.npy").numbers("0").tolist() == [0, 2, 4]
    (tmp_path / "bad.npz").write_text("a,b\n")
    with pytest.raises(
        DataError, match=r"^bad\.npz is not a file of NumPy arrays; write it with np\.savez or"
    ):
        read_table(tmp_path / "bad.npz")
    (tmp_path / "bad.npz").write_text("")
    with pytest.raises(
        DataError, match=r"^bad\.npz is not a file of NumPy arrays \(No data left in file\); wr"
    ):
        read_table(tmp_path / "bad.npz")


def test_parquet_files(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    parquet.write_table(arrow.table({"a": [1, 2], "word": ["u", "v"]}), tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet").describe() == "a (number), word (category, 2 values)"
    (tmp_path / "bad.parquet").write_text("a,b\n")
    with pytest.raises(DataError, match=r"bad\.parquet is not a Parquet file"):
        read_table(tmp_path / "bad.parquet")


def test_parquet_without_pyarrow_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        UsageError, match=r"reading x.parquet needs pyarrow; pip install 'recurrent-zoo\[parquet"
    ):
        read_table(tmp_path / "x.parquet")


def test_missing_files_are_errors(tmp_path):
    with pytest.raises(
        MissingSourceError, match=r"no.csv: no such file or directory; give the path of a table"
    ):
        read_table(tmp_path / "no.csv")
    with pytest.raises(
        DataError, match=r"holds no table; expected files whose names end in \.csv, \.tsv, \.npz"
    ):
        read_table(tmp_path)
    with pytest.raises(DataError, match="the table was passed from memory and has no file"):
        read_table("table:table")


def directory(path, files):
    for name, text in files.items():
        file = path / "recordings" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path / "recordings"


def test_directory_is_one_table_with_the_files_as_columns(tmp_path):
    files = {
        "walk/b.csv": "t,x,word,note\n1,5,u,\n2,6,,\n",
        "a.csv": "t,x,word,note\n1,1,v,\n\n2,,u,\n",
        "walk/c.tsv": "x\tnote\tword\tt\n7\tlate\t\t1\n",
        "README.txt": "no table",
        ".hidden.csv": "no table",
    }
    table = read_table(directory(tmp_path, files))
    assert table.name == "recordings"
    assert table.describe() == (
        "t (number), x (number), word (category, 2 values), note (category, 1 value), "
        "file (category, 3 values), folder (category, 2 values)"
    )
    np.testing.assert_array_equal(table.numbers("x"), [1, np.nan, 5, 6, 7])
    assert table.column("word").values.tolist() == [0, 1, 1, -1, -1]
    assert table.column("note").values.tolist() == [-1, -1, -1, -1, 0]
    assert table.column("file").categories == ("a", "walk/b", "walk/c")
    assert table.column("folder").categories == ("recordings", "walk")
    assert table.where(1, "x") == "recordings/a.csv, line 4, column 'x'"
    assert table.where(3) == "recordings/walk/b.csv, line 3"
    assert table.series == "file"
    before = table.sha256
    (tmp_path / "recordings" / "a.csv").rename(tmp_path / "recordings" / "d.csv")
    assert read_table(tmp_path / "recordings").sha256 != before


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (
            "t\n1\n",
            "recordings/b.csv has no column 'x', unlike recordings/a.csv; expected the same columns in",
        ),
        ("t,x,y\n1,2,3\n", "recordings/b.csv has a column 'y', unlike recordings/a.csv"),
        (
            "t,x\n1,u\n",
            "recordings/b.csv, line 2, column 'x': found 'u'; expected a number, as in recordings/a.csv.",
        ),
        ("t,x,file\n1,2,u\n", "recordings/b.csv has a column 'file', and zoo adds a column of this name to"),
        ("t,x\n1\n", "recordings/b.csv, line 2: found 1 value; expected 2"),
        ("t,x\n", "recordings/b.csv has a header and no rows; give at least one row."),
    ],
)
def test_files_of_a_directory_that_do_not_fit_are_errors(second, sentence, tmp_path):
    with pytest.raises(DataError) as error:
        read_table(directory(tmp_path, {"a.csv": "t,x\n1,2\n", "b.csv": second}))
    assert sentence in str(error.value)


TEXTS = {"number": "1.5", "time": "2024-05-01 13:00", "category": "u"}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("other", TEXTS)
@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("is_first", [False, True])
def test_a_value_of_another_kind_in_one_file_names_its_line(kind, other, row, is_first, tmp_path):
    """Also if the file comes first and its column is therefore one of texts."""
    good, bad = [TEXTS[kind]] * 3, [TEXTS[kind]] * 3
    bad[row] = TEXTS[other]
    texts = ["x,t\n" + "".join(f"{value},0\n" for value in values) for values in (good, bad)]
    folder = directory(tmp_path, dict(zip(["a.csv", "b.csv"], texts[:: -1 if is_first else 1], strict=True)))
    if kind in (other, "category"):
        assert read_table(folder).column("x").kind == kind
        return
    with pytest.raises(DataError) as error:
        read_table(folder).numbers("x")
    names = ("a", "b") if is_first else ("b", "a")
    line = f"recordings/{names[0]}.csv, line {row + 2}, column 'x': found {TEXTS[other]!r}; expected a {kind}"
    assert str(error.value).startswith(line)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "mapping"])
def test_decimals_of_a_data_base_are_numbers(library):
    """A missing one is None, or the NaN of decimal numbers."""
    has_nan = library in ("pandas", "mapping")
    values = [Decimal("1.25"), None, Decimal(-3), *map(Decimal, ["nan", "sNaN"] * has_nan)]
    table = {"x": values}
    if library == "pyarrow":
        table = pytest.importorskip("pyarrow").table(table)
    elif library != "mapping":
        table = pytest.importorskip(library).DataFrame(table)
    column = as_table(table).column("x")
    assert column.kind == "number"
    np.testing.assert_array_equal(column.values[:3], [1.25, np.nan, -3])
    assert np.isnan(column.values[3:]).all()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "mapping"])
@pytest.mark.parametrize("unit", ["ms", "us"])
def test_durations_name_the_conversion(library, unit):
    table = {"wait": np.arange(3).astype(f"m8[{unit}]")}
    if library == "pyarrow":
        table = pytest.importorskip("pyarrow").table(table)
    elif library != "mapping":
        table = pytest.importorskip(library).DataFrame(table)
    with pytest.raises(UsageError, match=r"column 'wait' has the type timedelta64.*Convert durations to n"):
        as_table(table)


@pytest.mark.parametrize("others", [[], [None], [1.0], ["a"], [datetime.timedelta(1)]], ids=str)
def test_lists_of_durations_name_the_conversion(others):
    values = [datetime.timedelta(hours=1), *others]
    with pytest.raises(UsageError, match=r"Convert durations to numbers: `table\['wait'\] / np"):
        as_table({"wait": values})


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(TEXTS, 2)])
def test_a_column_of_another_kind_names_its_first_value(first, second, tmp_path):
    texts = [f"x,t\n,0\n{TEXTS[kind]},0\n" for kind in (first, second)]
    noun = {"category": "text"}.get(first, first)
    with pytest.raises(DataError) as error:
        read_table(directory(tmp_path, {"a.csv": texts[0], "b.csv": texts[1]}))
    assert str(error.value).startswith(f"recordings/b.csv, line 3, column 'x': found '{TEXTS[second]}'")
    assert f"; expected a {noun}" in str(error.value)
    cure = "All values of the column in recordings/b.csv are" if first == "category" else "Correct the value"
    assert f", as in recordings/a.csv. {cure}" in str(error.value)


@pytest.mark.parametrize("value", ["1,5", "1,234"])
def test_the_example_follows_the_expected_kind(value, tmp_path):
    files = {"a.csv": "x,t\n2,0\n", "b.csv": f'x,t\n"{value}",0\n'}
    with pytest.raises(DataError, match=r"; expected a number, as in recordings/a\.csv\. Write 1\.") as error:
        read_table(directory(tmp_path, files))
    assert str(error.value).count(", as in ") == 1


def test_binary_file_in_standard_input_is_an_error(monkeypatch):
    file = io.BytesIO()
    np.savez(file, y=np.arange(3.0))
    file.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(file)))
    with pytest.raises(
        DataError, match=r"standard input is an \.npz file, and zoo reads CSV from it; give the fi"
    ):
        read_table("-")


def test_standard_input_without_data_is_an_error(monkeypatch):
    class Terminal:
        buffer = io.BytesIO()

        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(
        DataError, match="standard input, which is a terminal; pipe a file into it, as in `zoo"
    ):
        read_table("-")
    monkeypatch.setattr(Terminal, "isatty", lambda _: False)
    with pytest.raises(
        DataError, match=r"standard input is empty; .* A run stores no copy of it, so pass it ag"
    ):
        read_table("-")


def test_public_names():
    assert zoo.data.DataTable is DataTable


@pytest.mark.parametrize("seed", range(5))
def test_booleans_have_their_texts_and_stay_numbers(seed):
    rng = np.random.default_rng(seed)
    chosen = rng.random(9) < 0.5
    missing = rng.random(9) < 0.3
    given = [None if lacks else bool(value) for value, lacks in zip(chosen, missing, strict=True)]
    column = as_table({"x": [*given, True]}).columns["x"]
    assert column.kind == "number"
    texts = column.as_category()
    for row in np.flatnonzero(~column.missing()):
        assert texts.text(row) == column.text(row) == str([*given, True][row])
    for last, is_boolean in ((chosen, True), (np.array([2.0]), False)):
        joined = JoinedColumn("x")
        for part in (np.full(2, np.nan), chosen, np.full(2, np.nan), last):
            joined.append(as_table({"x": part}))
        assert joined.finish().is_boolean == is_boolean


@pytest.mark.parametrize("separator", ["", " ", "T"])
@pytest.mark.parametrize("offset", ["Z", "z", "+01:00", "-01:00", "+0100", "-23:59", "+00:00"])
def test_offset_needs_a_time_of_the_day(separator: str, offset: str) -> None:
    """Python reads the digits of an offset after a date as hours, and the result as local time."""
    assert is_time_text(f"2010-01-01T00:00{offset}")
    assert not is_time_text(f"2010-01-01{separator}{offset}")


@pytest.mark.parametrize("value", [1e101, -1e308, np.inf, -np.inf])
def test_hint_for_an_infinite_number_names_texts_that_are_read_as_infinite(value):
    hint = finite_hint(value)
    assert hint.startswith(f"found {value:g}; expected a finite number of at most 1e+100.")
    assert ("1e400" in hint) == np.isinf(value)
    assert hint.endswith(" Leave a missing value empty.")

"""Labelled sequences from tables, arrays and files, and invalid input."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.classification import Predictions
from zoo.comparison.data_sets import _arrays_of_sequences
from zoo.data import LabelledSequences, growing_array
from zoo.data.sequence_reader import SequenceRoles, read_sequences
from zoo.data.ts_file import is_ts_file
from zoo.errors import DataError, MissingSourceError, UsageError

PARTS = [np.arange(6.0).reshape(3, 2), np.arange(10.0).reshape(5, 2) - 4, np.ones((1, 2))]
LABELS = ["walk", "rest", "walk"]
TS = """# comment
@problemName Walks
@timeStamps false
@univariate false
@dimensions 2
@classLabel true rest walk
@data
0,2,4:1,3,5:walk
-4,-2,0,2,4:-3,-1,1,3,5:rest

1:1:walk
"""


def table(parts=PARTS, labels=LABELS, **columns):
    rows = np.concatenate(parts)
    sizes = [len(part) for part in parts]
    return {
        "id": np.repeat(["a", "b", "c"][: len(parts)], sizes).tolist(),
        "x": rows[:, 0],
        "y": rows[:, 1],
        "label": np.repeat(labels, sizes).tolist(),
        **columns,
    }


def read(data, missing="reject", needs_labels=True, **roles):
    if isinstance(data, dict) and "x" in data:
        roles = {"series": "id", "label": "label", **roles}
    return read_sequences(data, SequenceRoles(**roles), missing, needs_labels)


def check(given, channels=("0", "1"), labels=LABELS):
    assert (given.lengths.tolist(), given.channels) == ([3, 5, 1], channels)
    np.testing.assert_array_equal(given.values, np.concatenate(PARTS))
    assert [given.labels.text(number) for number in range(3)] == labels


def in_files(monkeypatch):
    """Store and read all arrays as if they were larger than memory."""
    monkeypatch.setattr(growing_array, "MAX_BYTES_IN_MEMORY", 8)
    monkeypatch.setattr(growing_array, "CHUNK", 4)


# ---- sources ------------------------------------------------------------------------------------------


def test_all_sources_give_the_same_sequences(tmp_path):
    padded = np.full((3, 5, 2), np.nan)
    for number, part in enumerate(PARTS):
        padded[number, : len(part)] = part
    lengths = np.array([3, 5, 1])
    np.savez(tmp_path / "padded.npz", inputs=padded, lengths=lengths, labels=LABELS)
    np.savez(tmp_path / "rows.npz", inputs=np.concatenate(PARTS), lengths=lengths, labels=LABELS)
    (tmp_path / "walks.ts").write_text(TS)
    check(LabelledSequences.from_arrays(PARTS, LABELS))
    check(LabelledSequences.from_arrays(PARTS, np.array(LABELS, "S")))
    check(read({"inputs": PARTS, "labels": LABELS}))
    for name in ("padded.npz", "rows.npz", "walks.ts"):
        check(read(tmp_path / name))
    given = read(table())
    check(given, ("x", "y"))
    assert (given.ids, given.name, given.label) == (("a", "b", "c"), "table", "label")


def test_rows_of_several_sequences_may_alternate(tmp_path):
    columns = table()
    order = np.array([3, 0, 8, 4, 1, 5, 2, 6, 7])
    path = tmp_path / "walks.csv"
    rows = list(zip(*columns.values(), strict=True))
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, rows[row])) for row in order)]))
    given = read(path, series="id", label="label")
    assert given.ids == ("b", "a", "c")
    np.testing.assert_array_equal(given.values[:5], PARTS[1])
    assert given.labels.text(0) == "rest"


def test_lengths_of_one_step_with_two_readings_are_an_error():
    """Three sequences of one step with two features, or of two steps with one feature."""
    inputs = np.arange(6.0).reshape(3, 2)
    with pytest.raises(DataError, match=r"a length of 1 for each row.*inputs\[:, None, :\]"):
        LabelledSequences.from_arrays(inputs, lengths=[1, 1, 1])
    features = LabelledSequences.from_arrays(inputs[:, None, :], lengths=[1, 1, 1])
    np.testing.assert_array_equal(features.values, inputs)
    steps = LabelledSequences.from_arrays(inputs[:, :1, None], lengths=[1, 1, 1])
    np.testing.assert_array_equal(steps.values, inputs[:, :1])


def test_large_sequences_are_in_files_with_equal_values(tmp_path, monkeypatch):
    columns = table(color=["red", "blue", "", "red", "blue", "", "blue", "", "red"])
    columns["y"][5:7] = np.nan
    order = [3, 0, 8, 4, 1, 5, 2, 6, 7]
    columns = {name: np.array(values)[order] for name, values in columns.items()}
    text = "\n".join(
        [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    )
    (tmp_path / "rows.csv").write_text(text)
    inputs = np.stack([columns["x"], columns["y"]], axis=1)
    np.savez(tmp_path / "rows.npz", inputs=inputs, lengths=[3, 5, 1], labels=LABELS)
    (tmp_path / "rows.ts").write_text(TS.replace("1,3,5", "1,?,5"))
    stamps = "(0,1),(2,?),(3,4):(0,5),(2,6),(3,7)"
    (tmp_path / "times.ts").write_text(
        f"@problemName A\n@timeStamps true\n@targetLabel true\n@data\n{stamps}:0.5\n{stamps}:7\n"
    )
    numbers = {"a": inputs[:, 0], "id": np.arange(9.0) // 3, "label": np.arange(9.0) // 3}
    np.save(tmp_path / "rows.npy", np.stack([*numbers.values()], axis=1))
    for name, missing, roles in (
        ("rows.csv", "forward", {"series": "id", "label": "label"}),
        ("rows.csv", "mask", {"series": "id", "label": "label", "input": ("color", "y")}),
        ("rows.npz", "forward", {}),
        ("rows.npz", "mask", {"input": ("1",)}),
        ("rows.npy", "reject", {"series": "1", "label": "2"}),
        ("rows.ts", "forward", {}),
        ("rows.ts", "mask", {"input": ("1",)}),
        ("times.ts", "forward", {}),
    ):
        expected = read(tmp_path / name, missing, **roles)
        with monkeypatch.context() as patch:
            in_files(patch)
            given = read(tmp_path / name, missing, **roles)
        assert isinstance(given.values.base, np.memmap)
        assert not isinstance(expected.values.base, np.memmap)
        np.testing.assert_array_equal(given.values, expected.values)
        assert (given.ids, given.channels, given.sha256) == (expected.ids, expected.channels, expected.sha256)
        np.testing.assert_array_equal(given.labels.values, expected.labels.values)
        np.testing.assert_array_equal(given.dt, expected.dt)


def test_large_ts_file_is_read_line_by_line(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(100, 1000)).round(3)
    path = tmp_path / "a.ts"
    lines = [
        f"{','.join(map(str, row))}:{label}\n" for row, label in zip(rows.tolist(), "uv" * 50, strict=True)
    ]
    path.write_text("".join(["@problemName A\n@classLabel true u v\n@data\n", *lines]))
    in_files(monkeypatch)
    monkeypatch.setattr(growing_array, "CHUNK", 1000)
    tracemalloc.start()
    try:
        given = read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(given.values[:, 0], rows.reshape(-1))
    assert given.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert peak < rows.nbytes / 2  # a copy of the values would take `rows.nbytes`
    with path.open("a") as file:
        file.write("1,2:3,x:u\n")
    with pytest.raises(DataError, match=r"a\.ts, line 104, channel 1: found 'x'; expected a number, or \?"):
        read(path)


def test_large_sequences_have_the_same_messages(tmp_path, monkeypatch):
    in_files(monkeypatch)
    np.savez(tmp_path / "x.npz", inputs=np.array([[[1.0, 2]] * 5, [[1, np.nan]] * 5]), labels=["a", "b"])
    with pytest.raises(DataError, match=r"sequence '1', step 0, channel '1': .* missing, one of 5;"):
        read(tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"row 8, column 'label': found 'walk', .* the label 'rest' before"):
        read(table(label=["rest"] * 8 + ["walk"], id=["a"] * 9))
    np.save(tmp_path / "x.npy", np.array([[{}]] * 9), allow_pickle=True)
    with pytest.raises(DataError, match=r"x\.npy is not a file of NumPy arrays"):
        read(tmp_path / "x.npy", series="0", label="1")


def test_sequences_of_one_channel_names_and_numbers():
    given = LabelledSequences.from_arrays(
        np.ones((4, 7)), [0.5, 1, 2, 3], ids=list("wxyz"), channels=["force"]
    )
    assert (given.ids, given.channels, given.lengths.tolist()) == (tuple("wxyz"), ("force",), [7] * 4)
    assert given.labels.kind == "number"
    assert read([np.ones(3), np.ones(4)], needs_labels=False).labels is None


def test_chosen_channels_and_texts():
    data = table(color=["red", "blue", "red"] * 3, day=np.arange(9).astype("M8[D]"))
    given = read(data)
    assert given.channels == ("x", "y", "color=red", "color=blue")
    assert given.categories == {"color": ("red", "blue")}
    assert given.values[:3, 2].tolist() == [1, 0, 1]
    assert given.dt.tolist() == [1.0] * 9
    assert given.time == "day"
    chosen = read(data, input=("y", "color"), categories={"color": ("blue", "red", "green")})
    assert chosen.channels == ("y", "color=blue", "color=red", "color=green")
    assert read(PARTS, input=("1",), needs_labels=False).values[:, 0].tolist() == [
        *np.concatenate(PARTS)[:, 1]
    ]


def test_missing_values():
    parts = [part.copy() for part in PARTS]
    parts[1][2, 0] = np.nan
    for data, place in ((parts, "sequence '1', step 2, channel '0'"), (table(parts), "row 5, column 'x'")):
        with pytest.raises(DataError, match=f"{place}: the value is missing"):
            read(data, needs_labels=False)
        assert read(data, "forward", needs_labels=False).values[5, 0] == parts[1][1, 0]
        assert np.isnan(read(data, "mask", needs_labels=False).values[5, 0])
    parts[1][0, 0] = np.nan
    for data in (parts, table(parts)):
        with pytest.raises(DataError, match="and there is none before it in its se"):
            read(data, "forward", needs_labels=False)


def test_ts_file_with_missing_values_numbers_or_no_labels(tmp_path):
    path = tmp_path / "a.ts"
    path.write_text("@problemName A\n@targetLabel true\n@data\n1,?,3:2,NaN:0.5\n4,5,6:7,8,9:1.5\n")
    given = read(path, "mask")
    assert given.values[0].tolist() == [1.0, 2.0]
    assert np.isnan(given.values[1]).all()
    assert np.isnan(given.values[2, 1])
    assert given.labels.values.tolist() == [0.5, 1.5]
    path.write_text("@problemName A\n@classLabel false\n@data\n1,2,3\n")
    assert read(path, needs_labels=False).labels is None
    with pytest.raises(DataError, match="has no labels"):
        read(path)


@pytest.mark.parametrize(
    ("line", "header"),
    [("@classLabel false\n", "line 2 is '@classLabel false'"), ("", "the header has no @classLabel")],
)
@pytest.mark.parametrize("labels", [["rest", "walk", "rest"], ["1", "2", "1"], ["a b", "c", "?"]])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stamps", [False, True])
def test_ts_file_with_labels_that_its_header_does_not_declare(
    line, header, labels, channels, stamps, tmp_path
):
    path = tmp_path / "a.ts"
    times = "@timeStamps true\n" if stamps else ""
    values = "(0,1),(1,2),(2,3)" if stamps else "1,2,3"
    rows = "".join(f"{':'.join([values] * channels)}:{label}\n" for label in labels)
    path.write_text(f"@problemName A\n{line}{times}@data\n{rows}")
    for needs_labels in (True, False):
        with pytest.raises(DataError) as error:
            read(path, needs_labels=needs_labels)
        assert f"after the last colon looks like a label, but {header}. Write `@classLabel true`" in str(
            error.value
        )


@pytest.mark.parametrize(
    "rows", ["1,2,3:4\n5,6:7,8\n", "1:2\n3:4\n", "1\n2\n", "1,2:?\n3,4:?\n", "1,2:\n3:4,5\n"]
)
def test_short_channels_of_ts_files_are_no_labels(rows, tmp_path):
    path = tmp_path / "a.ts"
    path.write_text(f"@problemName A\n@classLabel false\n@data\n{rows}")
    assert len(read(path, "mask", needs_labels=False)) == 2


def test_ts_file_with_time_stamps(tmp_path):
    path = tmp_path / "a.ts"
    header = "@problemName A\n@timeStamps true\n@classLabel true u v\n@data\n"
    path.write_text(
        f"{header}(2024-01-01 00:00:00,1),(2024-01-01 00:01:00,?) : "
        "(2024-01-01 00:00:00,3),(2024-01-01 00:01:00,4):u\n"
        "(2024-01-01 00:00:00,5),(2024-01-01 00:01:00,6),(2024-01-01 00:04:00,7):"
        "(2024-01-01 00:00:00,8),(2024-01-01 00:01:00,9),(2024-01-01 00:04:00,0):v\n"
    )
    given = read(path, "mask")
    np.testing.assert_array_equal(given.values, [[1, 3], [np.nan, 4], [5, 8], [6, 9], [7, 0]])
    assert (given.lengths.tolist(), given.labels.categories) == ([2, 3], ("u", "v"))
    assert (given.dt.tolist(), given.time_unit) == ([1, 1, 1, 1, 3], 60.0)
    path.write_text(f"{header}(0,1),(2.5,2):u\n")
    assert read(path).time_unit == 2.5
    for line, sentence in (
        ("(0,1),(1,2):(0,1),(2,2):u", "a.ts, line 5, channel 1 has other times than channel 0; expected the"),
        ("(0,1),(1,2,3):u", "a.ts, line 5, channel 0: found '(1,2,3)'; expected pairs such as (2024-05-01"),
        (
            "(noon,1):u",
            "a.ts, line 5: found 'noon'; expected a time such as 2024-05-01 13:00:00, or a number.",
        ),
        ("(0,x):u", "a.ts, line 5, channel 0: found 'x'; expected a number, or ? for a missing one."),
        ("(1,1),(0,2):u", "a.ts, line 5, step 1: the time 0.0 is not after 1.0; sort the steps by time."),
    ):
        path.write_text(f"{header}{line}\n")
        with pytest.raises(DataError) as error:
            read(path)
        assert sentence in str(error.value)


def test_groups_and_weights(tmp_path):
    person, weight = np.repeat([7, 8, 7], [3, 5, 1]), np.repeat([1.0, 0.5, 2.0], [3, 5, 1])
    given = read(table(person=person, w=weight), group="person", weight="w")
    assert (given.channels, given.left_out) == (("x", "y"), ())
    assert [given.groups.text(number) for number in range(3)] == ["7", "8", "7"]
    assert given.weights.tolist() == [1, 0.5, 2]
    np.savez(tmp_path / "a.npz", inputs=np.ones((3, 2)), labels=LABELS, groups=[7, 8, 7], weights=[1, 0.5, 2])
    stored = read(tmp_path / "a.npz")
    assert stored.groups.categories == given.groups.categories
    assert stored.weights.tolist() == given.weights.tolist()
    new = read(table(), group="person", weight="w", categories={}, needs_labels=False)
    assert (new.groups, new.weights) == (None, None)


def test_sequences_may_be_their_own_groups():
    given = read(table(), group="id")
    assert (given.ids, given.channels) == (("a", "b", "c"), ("x", "y"))
    assert [given.groups.text(number) for number in range(3)] == ["a", "b", "c"]


def test_directory_of_recordings_has_a_sequence_for_each_file(tmp_path):
    for name, part, label in zip("abc", PARTS, LABELS, strict=True):
        (tmp_path / label).mkdir(exist_ok=True)
        np.savez(tmp_path / label / f"{name}.npz", x=part[:, 0], y=part[:, 1])
    given = read(tmp_path, label="folder")
    assert (given.ids, given.channels) == (("rest/b", "walk/a", "walk/c"), ("x", "y"))
    assert [given.labels.text(number) for number in range(3)] == ["rest", "walk", "walk"]
    new = read(tmp_path / "walk" / "a.npz", label="folder", categories={}, needs_labels=False)
    assert (new.ids, new.lengths.tolist(), new.labels) == (("a",), [3], None)


def test_typescript_is_not_a_ts_file(tmp_path):
    path = tmp_path / "code.ts"
    path.write_text("// a program\n@Component({})\nexport const x = 1;\n")
    assert not is_ts_file(str(path))
    path.write_text("% a comment of some files of the archive\n" + TS)
    assert is_ts_file(str(path))
    check(read(path))
    assert not is_ts_file(str(tmp_path / "absent.ts"))


# ---- invalid input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "roles", "sentence"),
    [
        (table(), {"series": None}, "series is missing: table is a table; name the column of the ids"),
        (table(), {"label": None}, "label is missing: table is a table; name the column of the labels"),
        (table(), {"label": "labels"}, "table has no column 'labels'"),
        (table(), {"series": "ids"}, "table has no column 'ids'"),
        (table(), {"input": ("x", "z")}, "table has no column 'z'"),
        (table(), {"input": ("x", "label")}, "column 'label' is the label and has another role"),
        (table(x=[*map(str, range(8)), "up"]), {}, "row 8, column 'x': found 'up'; expected a number."),
        (
            table(x=[*range(8), np.inf]),
            {},
            "row 8, column 'x': found inf; expected a finite number of at most",
        ),
        (
            table(id=[*"aaabbbbb", None]),
            {},
            "row 8, column 'id': the name of the series is missing; fill it, or",
        ),
        (table(label=[*["walk"] * 8, None]), {}, "the label of sequence 'c' is missing; fill it"),
        (
            table(label=[*["walk"] * 2, *["rest"] * 7]),
            {},
            "row 2, column 'label': found 'rest', and sequence 'a' has the label 'walk' before",
        ),
        (table(), {"group": "person"}, "table has no column 'person'"),
        (table(), {"weight": "w"}, "table has no column 'w'"),
        (table(), {"group": "x", "input": ("x",)}, "column 'x' is a group and has another role; give it one"),
        (table(), {"group": "x"}, "row 1, column 'x': found '2', and sequence 'a' has the group '0' before"),
        (table(w=["u"] * 9), {"weight": "w"}, "row 0, column 'w': found 'u'; expected a number."),
        (
            table(w=np.zeros(9)),
            {"weight": "w"},
            "the weight of sequence 'a' is 0; expected a number above 0.",
        ),
        (table(p=[None] * 9), {"group": "p"}, "the group of sequence 'a' is missing, one of 3; fill it"),
        (table(t=[2, 1, 3, *range(6)]), {"time": "t"}, "row 1, column 't': the time 1 is before 2"),
        ({key: value[:0] for key, value in table().items()}, {}, "table has no rows."),
        ({"id": ["a"], "x": [1.0], "label": ["u"]}, {}, "has no column that can be an input; left out: x"),
    ],
)
def test_invalid_tables(data, roles, sentence):
    with pytest.raises((DataError, UsageError)) as error:
        read(data, **roles)
    assert sentence in str(error.value)


@pytest.mark.parametrize("value", [None, "low", np.datetime64("2024-01-01").item()], ids=str)
@pytest.mark.parametrize("library", ["pandas", "nullable", "polars", "objects"])
def test_data_frame_with_other_values_than_numbers(library, value):
    """None is a missing value, also among nullable integers; texts and times need a table."""
    columns = {"x": [1, 2, 3], "y": [value] * 3 if library == "polars" and value else [4, value, 6]}
    if library == "objects":
        frame = np.array([*zip(*columns.values(), strict=True)], object)
    else:
        frame = pytest.importorskip(library.replace("nullable", "pandas")).DataFrame(columns)
        frame = frame.convert_dtypes() if library == "nullable" else frame
    if value is None:
        values = LabelledSequences.from_arrays([np.ones((2, 2)), frame], ["a", "b"]).values
        assert np.array_equal(values[2:], [[1, 4], [2, np.nan], [3, 6]], equal_nan=True)
        return
    at = "" if library == "objects" else ", column 'y'"
    with pytest.raises(DataError) as error:
        LabelledSequences.from_arrays([np.ones((2, 2)), frame], ["a", "b"])
    assert f"arrays, sequence 1{at}: found {value!r}; expected numbers. To train on texts" in str(error.value)


@pytest.mark.parametrize(
    ("inputs", "arguments", "sentence"),
    [
        ([], {}, "arrays has no sequences; give at least one."),
        ([np.ones((3, 2)), np.ones((3, 1))], {}, "sequence '1' has 1 channel and sequence '0' has 2"),
        ([np.ones((3, 2)), np.ones((0, 2))], {}, "arrays, sequence '1' has no steps; remove it."),
        ([np.ones((3, 2)), np.ones((2, 2, 2))], {}, "arrays, sequence 1 is float64(2, 2, 2); expected"),
        ([["a"]], {}, "arrays, sequence 0 holds values of the type <U1; expected numbers."),
        (
            np.ones((2, 3, 1)),
            {"labels": ["a"]},
            "arrays has 2 sequences and 1 label; give one for each sequence.",
        ),
        (np.ones(3), {}, "arrays holds float64(3,); expected sequences (N, T, I) or (N, T)"),
        (np.ones((2, 3, 1)), {"lengths": [2, 4]}, "arrays: a length is 4; the sequences have 3 steps."),
        (np.ones((2, 3, 1)), {"lengths": [2, 0]}, "arrays, sequence '1' has no steps; remove it."),
        (np.ones((9, 1)), {"lengths": [2, 4]}, "and 2 lengths with the sum 6; expected a length for each"),
        (np.ones((2, 3, 1)), {"lengths": [2.5, 1]}, "lengths are"),
        (np.ones((2, 3, 1)), {"ids": ["a", "a"]}, "arrays has 2 ids; expected 2 different ones."),
        (
            np.ones((2, 3, 1)),
            {"groups": ["a"]},
            "arrays has 2 sequences and 1 group; give one for each sequence.",
        ),
        (np.ones((2, 3, 1)), {"weights": ["a", "b"]}, "arrays: weights hold 'a'; expected numbers above 0."),
        (np.ones((1, 2, 1)), {"times": [["a", "b"]]}, "arrays, sequence '0': times are "),
        (np.ones((2, 3, 1)), {"times": [1, 2]}, "arrays: times have other lengths than the"),
        (np.ones((2, 3, 1)), {"times": [[0, 1, 2], [0, 1]]}, "arrays: times have other lengths than the"),
        (
            np.ones((1, 3, 1)),
            {"times": [[0, 2, 2]]},
            "arrays, sequence '0', step 2: the time 2 is not after 2;",
        ),
        (
            np.ones((1, 2, 1)),
            {"times": [np.array([5, 3], np.uint8)]},
            "sequence '0', step 1: the time 3 is not after 5;",
        ),
        (np.empty((5, 0)), {"lengths": [2, 3]}, "arrays, sequence '0' has no channels."),
        *(
            (np.ones((2, 3, 1)), {what: values}, f"arrays: {shapes} Use `{what}[..., 0]` for one column{end}")
            for what, end in (
                ("labels", ", and `labels.argmax(axis=-1)` for one-hot vectors."),
                ("weights", "."),
            )
            for values, shapes in (
                (
                    np.ones((2, 3, 4)),
                    f"{what} have the shape (2, 3, 4), and the longest sequence has 3 steps; expected (N,), "
                    f"one for each sequence, or (N, T), one for each step.",
                ),
                (
                    [np.ones(3), np.ones((3, 4))],
                    f"the {what} of sequence '1' have the shape (3, 4); expected (T,), one for each step.",
                ),
            )
        ),
        (np.ones((2, 3, 1)), {"channels": ["a", "b"]}, "arrays has 2 channels; expected 1 different ones."),
    ],
)
def test_invalid_arrays(inputs, arguments, sentence):
    with pytest.raises(DataError) as error:
        LabelledSequences.from_arrays(inputs, **arguments)
    assert sentence in str(error.value)


def test_invalid_values_and_labels_of_arrays():
    with pytest.raises(
        DataError, match="arrays, sequence '1', step 1, channel '0': found inf; expected a fi"
    ):
        read([np.ones(3), np.array([1, np.inf])], needs_labels=False)
    with pytest.raises(DataError, match="arrays, label of sequence '1': found inf; expected a finite number"):
        read(LabelledSequences.from_arrays(np.ones((2, 3)), [1.0, np.inf]))
    with pytest.raises(
        DataError, match=r"channel '0': found -1e\+308; expected a finite number of at most 1e"
    ):
        read([np.ones(3), np.array([-1e308, 1])], needs_labels=False)
    with pytest.raises(DataError, match="arrays has no labels; give one for each sequence"):
        read(LabelledSequences.from_arrays(np.ones((2, 3))))
    with pytest.raises(UsageError, match="series is given, but arrays is not a table; leave it out"):
        read(LabelledSequences.from_arrays(np.ones((2, 3))), series="id")
    with pytest.raises(DataError, match="arrays has no channel '5'; its channels are 0, 1"):
        read(PARTS, input=("5",), needs_labels=False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TS.replace("0,2,4", "0,x,4"), "a.ts, line 8, channel 0: found 'x'; expected a number, or ? for"),
        (TS.replace("1:1:walk", "1"), "a.ts, line 11: found no label; expected one after a colon."),
        (TS.replace("1:1:walk", "::walk"), "a.ts, line 11 has no steps; remove it."),
        (TS.replace("1:1:walk", "1:walk"), "a.ts, line 11 has 1 channel and line 8 has 2; expected the same"),
        (TS.replace("@data", "data"), "a.ts, line 7: found 'data'; expected @data before it."),
        (
            "@problemName A\n@classLabel false\n@data\n",
            "a.ts has no sequences; give at least one after @data.",
        ),
        (
            TS.replace("true rest walk", "false").replace("@classLabel", "@targetLabel true\n@classLabel"),
            "a.ts, line 9, label: found 'walk'; expected a number",
        ),
        *(
            (
                TS.replace("1:1:walk", f"1:1:{label}"),
                f"a.ts, line 11: the label '{label}' is not one of the classes of @classLabel: rest, walk. "
                "Correct the label, or add it to the header.",
            )
            for label in ("Walk", "run", "?", "")
        ),
    ],
)
def test_invalid_ts_files(text, sentence, tmp_path):
    (tmp_path / "a.ts").write_text(text)
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.ts", needs_labels=False)
    assert sentence in str(error.value)


def test_invalid_npz_files(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(MissingSourceError, match=r"a\.npz: no such file or directory"):
        read(path)
    np.savez(path, inputs=np.ones((2, 3, 1)), labels=["a", "b"], other=[1])
    with pytest.raises(
        DataError, match=r"a\.npz holds the array 'other'; expected arrays named inputs, labels"
    ):
        read(path)
    np.savez(path, inputs=np.ones((2, 3, 1)), y=["a", "b"])
    assert read(path, label="y").label == "y"
    with pytest.raises(DataError, match=r"a\.npz has no array 'z'; its arrays are inputs, y"):
        read(path, label="z")
    sequences = [np.ones((2, 1)), np.zeros((3, 1))]
    np.savez(path, inputs=np.array(sequences, object))
    with pytest.raises(DataError, match=r"an array of Python objects, .* inputs=np.concatenate\(sequen"):
        read(path)
    lengths = [len(each) for each in sequences]
    np.savez(path, inputs=np.concatenate(sequences), lengths=lengths, labels=["a", "b"])
    assert read(path).lengths.tolist() == [2, 3]


@given(
    label=st.sampled_from(["id", "part", "p_a", "p_", "activity"]),
    classes=st.sampled_from([(), ("a", "b"), ("id", "part")]),
    is_known=st.booleans(),
)
def test_predictions_have_a_column_for_everything(label, classes, is_known):
    """A label may be called as a column of predictions."""
    values = np.linspace(0, 1, 2 * max(len(classes), 1)).reshape(2, -1)
    actual = np.array(["b", "a"]) if is_known else None
    part = np.array(["train", "test"]) if is_known else None
    predictions = Predictions(label, ("x", "y"), classes, values, actual, part)
    columns = predictions.columns()
    assert len(columns) == 2 + len(classes) + 2 * is_known
    assert columns["id"].tolist() == ["x", "y"]
    has_other = label in ("id", "part") or label in [f"p_{name}" for name in classes]
    predicted = columns[f"{label}_predicted" if has_other else label]
    assert predicted.tolist() == predictions.predicted.tolist()
    if is_known:
        assert columns["part"].tolist() == ["train", "test"]
        assert columns[f"{label}_actual"].tolist() == ["b", "a"]
    assert [list(row) for row in predictions.to_json()] == 2 * [list(columns)]
    assert predictions.to_csv().splitlines()[0] == ",".join(columns)


@given(count=st.integers(2, 300), channels=st.integers(1, 30), classes=st.integers(1, 40))
def test_reprs_are_one_line_of_any_sequences(count, channels, classes):
    """A program that prints sequences or predictions prints their number, and not all names and arrays."""
    labels = [f"class{number % classes}" for number in range(count)]
    names = [f"channel{number}" for number in range(channels)]
    sequences = LabelledSequences.from_arrays(
        np.zeros((count, 2, channels)), labels, channels=names, label="activity"
    )
    predictions = Predictions(
        "activity", sequences.ids, tuple(sorted(set(labels))), np.zeros((count, classes))
    )
    assert repr(sequences).startswith(f"LabelledSequences({count} sequences, name=")
    assert repr(sequences).endswith("label='activity')")
    assert repr(predictions).startswith(
        f"Predictions({count} sequences, label='activity', classes=('class0',"
    )
    assert all(len(text) < 250 and "\n" not in text for text in (repr(sequences), repr(predictions)))


@given(order=st.permutations(["hr", "bp", "age"]), library=st.sampled_from(["pandas", "polars"]))
def test_data_frames_in_a_list_are_read_by_name(order, library):
    """They were read by position: frames with columns in another order gave other results, silently."""
    frame = pytest.importorskip(library).DataFrame
    parts = [{"hr": values, "bp": values + 10, "age": values * 2} for values in (np.arange(3.0), np.ones(2))]
    frames = [frame(parts[0]), frame({name: parts[1][name] for name in order})]
    given = LabelledSequences.from_arrays(frames, ["a", "b"])
    assert given.channels == ("hr", "bp", "age")
    expected = np.concatenate([np.stack([*part.values()], axis=1) for part in parts])
    np.testing.assert_array_equal(given.values, expected)
    chosen = read_sequences(
        frames[::-1], SequenceRoles(input=("hr", "bp", "age"), categories={}), "reject", False
    )
    np.testing.assert_array_equal(chosen.values, np.concatenate([expected[3:], expected[:3]]))
    numbered = LabelledSequences.from_arrays([each.to_numpy() for each in frames], channels=order)
    assert numbered.channels == tuple(order)
    with pytest.raises(DataError, match="sequence 1 has the columns hr, bp, and the first one has hr, bp"):
        LabelledSequences.from_arrays([frames[0], frames[0][["hr", "bp"]]])


@pytest.mark.parametrize("library", ["lists", "numpy", "pandas", "polars", "objects"])
@pytest.mark.parametrize(
    "steps",
    [[["a", None, "b"], ["b", "b", "a", None, "a"], ["b"]], [[1.5, None, 3.0], [2.0, 2, 1, None, 0.5], [7]]],
    ids=["texts", "numbers"],
)
def test_labels_of_steps_have_one_form(library, steps):
    """Vectors of any library, one vector of all steps, and a padded array give the same labels."""
    joined = [each for row in steps for each in row]
    if library in ("pandas", "polars"):
        make = pytest.importorskip(library).Series
    else:
        make = {"lists": list, "numpy": np.array, "objects": lambda row: np.array(row, object)}[library]
    expected = read(LabelledSequences.from_arrays(PARTS, [list(row) for row in steps]), per_step=True)
    assert expected.has_step_labels
    assert [None if expected.labels.missing()[n] else joined[n] for n in range(9)] == joined
    sources = [LabelledSequences.from_arrays(PARTS, [make(row) for row in steps])]
    sources.append(LabelledSequences.from_arrays(np.concatenate(PARTS), make(joined), lengths=[3, 5, 1]))
    padded = np.array([[*row, *[None] * (5 - len(row))] for row in steps], object)
    whole = np.stack([np.pad(part, ((0, 5 - len(part)), (0, 0))) for part in PARTS])
    sources.append(LabelledSequences.from_arrays(whole, padded, lengths=[3, 5, 1]))
    for source in sources:
        given = read(source, per_step=True)
        assert given.labels.categories == expected.labels.categories
        np.testing.assert_array_equal(given.labels.values, expected.labels.values)
    assert len({source.sha256 for source in sources}) == 1


def test_an_empty_text_is_a_step_without_a_label():
    """A file of arrays cannot store None. A comparison of sequences in memory writes such a file."""
    given = LabelledSequences.from_arrays(PARTS, [["a", None, "b"], ["b", "b", "a", None, "a"], ["b"]])
    arrays = _arrays_of_sequences(given)
    assert arrays["labels"].dtype.kind == "U"
    stored = read(arrays, per_step=True).labels
    assert stored.missing().tolist() == given.labels.missing().tolist()
    present = np.flatnonzero(~stored.missing())
    assert [stored.text(n) for n in present] == [given.labels.text(n) for n in present]
    whole = LabelledSequences.from_arrays(PARTS, ["a", "", "b"])
    assert not whole.labels.missing().any()


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([[1, [2], 3], [1, 2, 3, 4, 5], [1]], "found [1, [2], 3] of the type list; expected numeric values"),
        ([np.zeros((3, 1)), np.zeros((5, 1)), np.zeros((1, 1))], "of sequence '0' have the shape (3, 1); "),
        ([["a", "b", "c"], "x", ["a"]], "found 'x' of the type str, and list in other rows"),
        ([["a", 1, "c"], ["a"] * 5, ["a"]], "found 1 of the type int, and text values in other rows"),
        ([["a"] * 3, ["a"] * 4, ["a"]], "sequence '1' has 5 steps and 4 labels; give one for each step"),
        ([["a"] * 3, ["a"] * 5], "arrays has 3 sequences and 2 vectors of labels; give one for"),
        (np.zeros((3, 4)), "labels have the shape (3, 4), and the longest sequence has 5 steps; expected"),
        (np.zeros(7), "arrays has 3 sequences and 7 labels; give one for each sequence."),
    ],
)  # fmt: skip
def test_invalid_labels_of_steps(labels, sentence):
    with pytest.raises((DataError, UsageError)) as error:
        LabelledSequences.from_arrays(PARTS, labels)
    assert sentence in str(error.value)


@given(
    steps=st.integers(1, 5),
    count=st.integers(2, 5),
    what=st.sampled_from(["labels", "weights"]),
    form=st.sampled_from([np.array, list]),
)
def test_labels_with_time_first_name_the_exchange(steps, count, what, form):
    inputs, right = np.zeros((count, steps, 1)), np.ones((count, steps))
    given = {"labels": right, "weights": right, what: form(right.T)}
    if steps == count:
        LabelledSequences.from_arrays(inputs, **given)
        return
    with pytest.raises(
        DataError, match=rf"\. Sequences come first: exchange the axes, `np.transpose\({what}\)`"
    ) as error:
        LabelledSequences.from_arrays(inputs, **given)
    assert str(error.value).endswith("; if time comes first in the inputs, `np.swapaxes(inputs, 0, 1)`.")


def test_labels_that_vary_within_a_sequence_name_the_option():
    given = LabelledSequences.from_arrays(PARTS, [["a"] * 3, ["b", "b", "a", "b", "b"], ["a"]])
    with pytest.raises(
        DataError, match=r"'1', step 2: the label is 'a', and 'b' at the first step; .* `pooling='n"
    ):
        read(given)
    given = LabelledSequences.from_arrays(PARTS, [["a"] * 3, ["b", None, "b", "b", "b"], ["a"]])
    with pytest.raises(DataError, match="step 1: the label is missing, and 'b' at the first step"):
        read(given)
    same = LabelledSequences.from_arrays(PARTS, [[2.0] * 3, [3.0] * 5, [2.0]])
    assert read(same).labels.values.tolist() == [2, 3, 2]

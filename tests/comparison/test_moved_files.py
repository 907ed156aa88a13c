"""A task or data set that reads a file: the file may move, and its content may not change."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import zoo
from zoo.cli.app import cli
from zoo.comparison.plan import read_plan
from zoo.errors import CheckpointError, DataError, MissingSourceError, UsageError
from zoo.training.resume import changed_options

TEXT = "the cat sat on the mat.\n" * 400


class Stopped:
    """An executor that stops the comparison when it has its plan."""

    def map(self, jobs, on_event):
        raise RuntimeError


def stop(*components, **given):
    with pytest.raises(RuntimeError):
        zoo.compare(*components, engine=Stopped(), **given)


@pytest.fixture(params=["text", "mine"])
def moved(request, tmp_path, monkeypatch):
    """A comparison with one task, its label, and the text, which has moved since."""
    monkeypatch.chdir(tmp_path)
    label, (old, new) = request.param, (tmp_path / "old.txt", tmp_path / "folder" / "new.txt")
    old.write_text(TEXT)
    stop("vanilla", f"{label}=text", options={label: {"data": old.name}}, hidden=3, steps=2, out="comparison")
    new.parent.mkdir()
    return label, old.rename(new)


def stored_options(label):
    plan = read_plan(Path("comparison"))
    return plan.tasks[label].options


def test_a_file_that_has_moved_can_be_named(moved):
    label, new = moved
    with pytest.raises(MissingSourceError) as missing:
        zoo.compare(out="comparison")
    assert f"the task {label!r} of the comparison cannot read its file. old.txt: no such" in str(
        missing.value
    )
    assert f"--set {label}.data=FILE`." in str(missing.value)
    stop(out="comparison", options={label: {"data": str(new)}})
    assert stored_options(label)["data"] == str(new)
    stop(out="comparison")


@pytest.mark.parametrize("text", [TEXT + "the dog.", TEXT.replace("cat", "cow"), TEXT[:-200]])
def test_a_file_with_another_content_is_an_error(text, moved):
    label, new = moved
    new.write_text(text)
    with pytest.raises(CheckpointError, match=rf"another comparison \({label}.data: 'old.txt' -> "):
        zoo.compare(out="comparison", options={label: {"data": str(new)}})
    assert stored_options(label)["data"] == "old.txt"


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["data=folder/new.txt", "seq=9"], "{}.seq: 64 -> 9); restore"),
        (["data=gone.txt"], "Error: gone.txt: no such file or directory; give"),
        (["dat=x"], "--set {}.dat: unknown option 'dat'"),
    ],
)
def test_set_needs_no_name_of_a_stored_task(assignments, words, moved):
    label, _ = moved
    words_of_flags = [word for each in assignments for word in ("--set", f"{label}.{each}")]
    result = CliRunner().invoke(cli, ["compare", "--out", "comparison", *words_of_flags])
    assert result.exit_code != 0
    assert words.format(label) in result.stderr


@pytest.mark.parametrize("change", ["", "row", "column"])
@pytest.mark.parametrize("name", ["load.csv", "other.csv", "load.tsv", "new/load.csv", "new/b.csv"])
def test_a_table_that_has_moved_can_be_named_if_it_keeps_its_content(name, change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old, new = tmp_path / "load.csv", tmp_path / "folder" / name
    old.write_text("load\n" + "".join(f"{row * row % 7}\n" for row in range(200)))
    stop("vanilla", data=old.name, target="load", hidden=3, steps=2, out="comparison")
    new.parent.mkdir(parents=True)
    old.rename(new)
    with pytest.raises(MissingSourceError) as error:
        zoo.compare(out="comparison")
    text = str(error.value)
    assert text.startswith("compare: the data set 'load' of the comparison cannot read its file. ")
    assert "load.csv: no such file or directory" in text
    assert text.endswith("has moved, name it with `data`; it may have another name.")
    text = new.read_text()
    new.write_text({"": text, "row": text + "5\n", "column": text.replace("load", "demand")}[change])
    if change:
        with pytest.raises((MissingSourceError, CheckpointError, DataError, UsageError)):
            zoo.compare(out="comparison", data=str(new))
        return
    stop(out="comparison", data=str(new))
    stop(out="comparison")  # the plan has its new path
    stored = read_plan(Path("comparison")).tasks
    assert {label: (entry.name, entry.spec) for label, entry in stored.items()} == {
        "load": (new.name, str(new))
    }


def test_another_table_is_added_to_one_that_was_renamed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tables(a=2, b=3)
    stop("vanilla", data="a.csv", **GIVEN)
    Path("a.csv").rename("c.csv")
    stop("vanilla", data=["b.csv", "c.csv"], **GIVEN)
    stored = read_plan(Path("comparison")).tasks
    assert {label: entry.name for label, entry in stored.items()} == {"a": "c.csv", "b": "b.csv"}


GIVEN = {"target": "load", "hidden": 3, "steps": 2, "out": "comparison"}


def write_tables(**factors):
    for name, factor in factors.items():
        rows = (f"{row * row * factor % 7}\n" for row in range(200))
        Path(f"{name}.csv").write_text("load\n" + "".join(rows))


@pytest.mark.parametrize("is_missing", [False, True])
@pytest.mark.parametrize("settings", [{}, {"target": "load"}])
def test_a_copy_is_the_data_set_of_the_plan(settings, is_missing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tables(a=2, copy=2, second=2)
    stop("vanilla", data="a.csv", **GIVEN)
    if is_missing:
        Path("a.csv").unlink()
    with pytest.raises(
        UsageError, match=r"^compare: copy.csv and second.csv are both the data set 'a' of the"
    ):
        zoo.compare(out="comparison", data=["copy.csv", "second.csv"], **settings)
    stop(out="comparison", data="copy.csv", **settings)
    stored = read_plan(Path("comparison")).tasks
    assert {label: entry.name for label, entry in stored.items()} == {"a": "copy.csv"}
    write_tables(a=2)
    with pytest.raises(UsageError, match=r"^compare: a.csv and second.csv are both the data set 'a'"):
        zoo.compare(out="comparison", data=["second.csv", "a.csv"], **settings)


def test_a_copy_with_other_settings_is_another_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tables(a=2, copy=2)
    stop("vanilla", data="a.csv", **GIVEN)
    stop(data="copy.csv", **GIVEN, horizon=3)
    assert {label: entry.name for label, entry in read_plan(Path("comparison")).tasks.items()} == {
        "a": "a.csv",
        "copy": "copy.csv",
    }


@pytest.mark.parametrize("settings", [{}, {"target": "load"}])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("nothere.csv", "compare: nothere.csv: no such file or directory; give the path of a data set."),
        (["b.csv", "nothere.csv"], "compare: nothere.csv: no such file or directory; give the path of a"),
        ("nothere/a.csv", "compare: nothere/a.csv: no such file or directory; give the path of a data set."),
        ("a\0b", "compare: a\\x00b: no such file or directory; give the path of a data set."),
        ("b.csv", "If the file has moved, name the file with its content, since b.csv has other content."),
        (["c.csv", "b.csv"], "name the file with its content, since c.csv, b.csv have other content."),
        ("moved/a.csv", "compare: a.csv has changed since the comparison began"),
    ],
)
def test_errors_name_the_file_that_does_not_match(data, words, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("moved").mkdir()
    write_tables(**{"a": 2, "b": 3, "c": 4, "moved/a": 5})
    stop("vanilla", data="a.csv", **GIVEN)
    Path("a.csv").unlink()
    with pytest.raises((MissingSourceError, CheckpointError)) as error:
        zoo.compare(out="comparison", data=data, **settings)
    assert words in str(error.value)


@pytest.mark.parametrize("may_move", [False, True])
@pytest.mark.parametrize("value", ["old.txt", "new.txt", "", "x" * 5000, "a\0b", 3, None])
def test_only_options_that_name_files_may_differ(value, may_move, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.txt").touch()
    now = {} if value is None else {"data": value}
    changed = changed_options({"data": "old.txt", "seq": 3}, {**now, "seq": 3}, may_move=may_move)
    is_allowed = value == "old.txt" or (value == "new.txt" and may_move)
    assert changed == ([] if is_allowed else ["data"])

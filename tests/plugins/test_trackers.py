"""Trackers: the events they receive and write, and runs that continue when a tracker fails."""

from __future__ import annotations

import json
import re
import warnings
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import report_fixtures as examples
from click.testing import CliRunner

import zoo
from zoo.cli.app import cli

CARD = zoo.Card(title="A test", authors="Nobody", year=2026, url="https://example.org")


class Recorder(zoo.Tracker):
    """Store all events."""

    card = CARD
    seen: list[dict] = []  # noqa: RUF012 - a test's notebook

    @contextmanager
    def open(self, start_event):
        self.seen.append({"event": "opened", "step": start_event["step"]})
        yield lambda event: self.seen.append(dict(event))
        self.seen.append({"event": "closed"})


class Broken(zoo.Tracker):
    """Raise at the place given by an option."""

    card = CARD
    where = zoo.Option("open", help="where it fails")

    @contextmanager
    def open(self, start_event):
        if self.options["where"] == "open":
            raise OSError("no such server")

        def record(event):
            if event["event"] == self.options["where"]:
                raise ValueError("not this one")

        try:
            yield record
        finally:
            if self.options["where"] == "end":
                raise RuntimeError("and nor at the end")


@pytest.fixture(autouse=True)
def forget():
    Recorder.seen.clear()


def history(run: Path) -> list[dict]:
    return zoo.Run(run).history


def training_events() -> list[dict]:
    """Return the events between the opening and the closing."""
    return Recorder.seen[1:-1]


def test_tracker_receives_every_event(tmp_path):
    run = examples.train(tmp_path, steps=4, trackers=[Recorder])
    assert [Recorder.seen[0]["event"], Recorder.seen[-1]["event"]] == ["opened", "closed"]
    assert json.loads(json.dumps(training_events())) == history(run)


def test_tracker_is_reopened_on_resume(tmp_path):
    run = examples.train(tmp_path, steps=2, trackers=[Recorder()])
    Recorder.seen.clear()
    with zoo.kernels.pure_python():
        zoo.train(
            tmp_path / "text.txt", out=run, resume=True, hidden=8, clip=0.5, steps=3, trackers=[Recorder()]
        )
    assert Recorder.seen[0] == {"event": "opened", "step": 2}
    assert [event["event"] for event in training_events()][:1] == ["resume"]


@pytest.fixture
def diverging(monkeypatch):
    """Replace the first loss by NaN."""
    monkeypatch.setattr(zoo.LanguageModel, "loss_and_grad", lambda *arguments, **named: (float("nan"), {}))


def test_it_is_closed_when_training_diverges(tmp_path, diverging):
    with pytest.raises(zoo.ZooError, match="diverged"):
        examples.train(tmp_path, trackers=[Recorder])
    assert [event["event"] for event in Recorder.seen[-2:]] == ["diverged", "closed"]


@pytest.mark.parametrize("where", ["open", "start", "step", "end"])
def test_failing_tracker_is_dropped(tmp_path, where):
    broken = Broken(where=where)
    with pytest.warns(zoo.ZooWarning) as warned:
        run = examples.train(tmp_path, steps=4, trackers=[broken, Recorder])
    assert len(warned) == 1
    assert "tracker 'broken' failed and is left out; the run continues (" in str(warned[0].message)
    assert zoo.Run(run).ended == "finished"
    assert json.loads(json.dumps(training_events())) == history(run)


def test_a_generator_without_contextmanager_is_an_error():
    with pytest.raises(
        zoo.DefinitionError, match=r"open is a generator; mark it @contextlib.contextmanager."
    ):

        class Bare(zoo.Tracker):
            """No context manager."""

            def open(self, start_event):
                yield print


@pytest.mark.parametrize("value", [None, 3, "print"])
def test_a_tracker_that_yields_no_function_is_dropped(tmp_path, value):
    class Wrong(zoo.Tracker):
        """Yield something else."""

        @contextmanager
        def open(self, start_event):
            yield value

    words = rf"run continues \(TypeError: open yields {value!r}; expected a function of an event\)"
    with pytest.warns(zoo.ZooWarning, match=words):
        run = examples.train(tmp_path, steps=2, trackers=[Wrong, Recorder])
    assert zoo.Run(run).ended == "finished"


def test_failing_tracker_does_not_hide_divergence(tmp_path, diverging):
    with pytest.warns(zoo.ZooWarning, match="broken"), pytest.raises(zoo.ZooError, match="diverged"):
        examples.train(tmp_path, trackers=[Broken(where="diverged")])


def test_trackers_change_no_number(tmp_path):
    runs = []
    for number, trackers in enumerate(((), (Recorder,))):
        (tmp_path / str(number)).mkdir()
        runs.append(examples.train(tmp_path / str(number), steps=3, trackers=trackers))
    assert zoo.load(runs[0]).theta.tobytes() == zoo.load(runs[1]).theta.tobytes()
    assert "trackers" not in zoo.Run(runs[1]).config.to_json(), "who watches is not part of a run"


@pytest.mark.parametrize(
    ("trackers", "error", "message"),
    [
        ("tensorboard", zoo.UsageError, "expected a list of names"),
        (["nobody"], zoo.UnknownNameError, "unknown tracker 'nobody'"),
        ([zoo.Sampler], zoo.DefinitionError, "is abstract|is not a tracker"),
        ([3], zoo.UsageError, "tracker is 3; expected the name of a tracker"),
    ],
)
def test_invalid_tracker_raises(tmp_path, trackers, error, message):
    with pytest.raises(error, match=message):
        examples.train(tmp_path, trackers=trackers)
    assert not (tmp_path / "run").exists()


def test_missing_package_raises_with_install_command(tmp_path):
    class Wanting(Recorder):
        """Needs what nobody has."""

        requires = {"nobody_has_this": "recurrent-zoo[nobody]"}  # noqa: RUF012

    with pytest.raises(zoo.UsageError, match=r"needs nobody_has_this; pip install 'recurrent-zoo\[nobody\]'"):
        examples.train(tmp_path, trackers=[Wanting])
    assert not (tmp_path / "run").exists()


def test_tracker_without_open_raises():
    with pytest.raises(zoo.DefinitionError, match="open is missing"):

        class Silent(zoo.Tracker):
            """Says nothing."""

            card = CARD


async def coroutine(self, start_event): ...


async def generator(self, start_event):
    yield print


OPENS = {
    "async def": (coroutine, "open is asynchronous, `async def`"),
    "async generator": (generator, "open is asynchronous, `async def`"),
    "asynccontextmanager": (asynccontextmanager(generator), "open is asynchronous, `async def`"),
    "static method": (staticmethod(lambda start_event: None), "open is a static method"),
    "class method": (classmethod(lambda cls, start_event: None), "open is a class method"),
    "property": (property(lambda self: None), "open is a property"),
    "string": ("runs.txt", "open is 'runs.txt'"),
    "no parameter": (lambda self: None, "found open(self)"),
    "no self": (lambda: None, "found open()"),
    "one too many": (contextmanager(lambda self, event, file: None), "found open(self, event, file)"),
    "keyword only": (lambda self, *, start_event: None, "found open(self, *, start_event)"),
}


@pytest.mark.parametrize("form", OPENS)
def test_open_that_cannot_be_called_is_an_error_of_the_class(form):
    function, problem = OPENS[form]
    words = f"{problem}; expected a method, `def open(self, start_event)`."
    with pytest.raises(zoo.DefinitionError, match=re.escape(words)):
        type("Wrong", (zoo.Tracker,), {"__doc__": "Cannot be opened.", "card": CARD, "open": function})


@pytest.mark.parametrize(
    "function",
    [lambda self, event: None, lambda self, event, more=1: None, lambda *given: None, contextmanager(print)],
)
def test_open_may_have_other_parameters_if_it_takes_the_event(function):
    made = type("Right", (zoo.Tracker,), {"__doc__": "Can be opened.", "card": CARD, "open": function})
    assert made().options == {}


def test_numbers_of_an_event():
    step = {"event": "step", "step": 5, "loss": 2.0, "lr": 1, "best": True, "text": "x"}
    assert zoo.Tracker.numbers(step) == {"train/loss": 2.0, "train/lr": 1.0}
    analysis = {"event": "analysis", "step": 5, "saturation": {"l0.f": [0.25, 0.5]}}
    assert zoo.Tracker.numbers(analysis) == {"saturation/l0.f/low": 0.25, "saturation/l0.f/high": 0.5}
    assert zoo.Tracker.numbers({"event": "end", "step": 5, "seconds": 3}) == {}


# Those that ship


def test_registered():
    assert {"jsonl", "mlflow", "tensorboard"} <= set(zoo.list_trackers())
    assert zoo.get_tracker("jsonl", path="a").options["path"] == "a"


def test_jsonl_gathers_several_runs(tmp_path):
    tracker = zoo.get_tracker("jsonl", path=str(tmp_path / "all.jsonl"))
    for name in "ab":
        (tmp_path / name).mkdir()
        examples.train(tmp_path / name, steps=2, trackers=[tracker])
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {line["run"] for line in lines} == {str(tmp_path / name / "run") for name in "ab"}
    assert [line["event"] for line in lines].count("end") == 2


def test_jsonl_writes_non_finite_numbers_like_the_log(tmp_path):
    tracker = zoo.get_tracker("jsonl", path=str(tmp_path / "all.jsonl"))
    with tracker.open({"out": "run"}) as record:
        record({"event": "diverged", "loss": float("nan"), "grad_norm": float("inf")})
    assert json.loads((tmp_path / "all.jsonl").read_text())["loss"] == "nan"


@pytest.mark.skipif(find_spec("tensorboardX") is None, reason="needs tensorboardX")
def test_tensorboard_reads_logged_values(tmp_path):
    run = examples.train(tmp_path, steps=6, analyse_every=3, trackers=["tensorboard"])
    values = scalars(run / "tensorboard")
    for event in history(run):
        for name, value in zoo.Tracker.numbers(event).items():
            assert values[name, event["step"]] == pytest.approx(value, rel=1e-6)
    assert len(values) == sum(len(zoo.Tracker.numbers(event)) for event in history(run))
    assert texts(run / "tensorboard") == {"configuration/text_summary", "sample/text_summary"}


def tensorboard_values(folder: Path):
    """Step and value of everything in the event files of a folder."""
    from tensorboardX.event_file_writer import EventFileWriter  # noqa: F401 - the package is whole
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        place = 0
        while place < len(data):
            size = int.from_bytes(data[place : place + 8], "little")  # then 4 bytes of checksum, data, 4 more
            event = Event.FromString(data[place + 12 : place + 12 + size])
            yield from ((event.step, value) for value in event.summary.value)
            place += size + 16


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    return {
        (value.tag, step): value.simple_value
        for step, value in tensorboard_values(folder)
        if value.WhichOneof("value") == "simple_value"
    }


def texts(folder: Path) -> set[str]:
    return {value.tag for _, value in tensorboard_values(folder) if value.WhichOneof("value") == "tensor"}


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow")
def test_mlflow_stores_settings_and_metrics_and_resumes(tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = zoo.get_tracker("mlflow", uri=uri)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that MLflow uses
        run = examples.train(tmp_path, steps=2, trackers=[tracker])
        settings = {"hidden": 8, "clip": 0.5, "steps": 4, "resume": True, "out": run, "trackers": [tracker]}
        with zoo.kernels.pure_python():
            zoo.train(tmp_path / "text.txt", **settings)
        client = MlflowClient(uri)
        (tracked,) = client.search_runs([client.get_experiment_by_name("zoo").experiment_id])
        losses = client.get_metric_history(tracked.info.run_id, "train/loss")
    assert tracked.data.params["hidden"] == "8"
    assert (tracked.info.status, tracked.info.run_name) == ("FINISHED", "run")
    logged = {event["step"]: event["loss"] for event in history(run) if event["event"] == "step"}
    assert {metric.step: metric.value for metric in losses} == pytest.approx(logged)


# The command line


def train(*arguments: object):
    sizes = ("--data", "builtin:hello", "--hidden", 4, "--steps", 2)
    with zoo.kernels.pure_python():
        return CliRunner().invoke(cli, ["train", *map(str, (*sizes, *arguments))])


def test_flag_and_options(tmp_path):
    out, log = tmp_path / "run", tmp_path / "all.jsonl"
    done = train("--out", out, "--tracker", "jsonl", "--set", f"tracker.path={log}")
    assert done.exit_code == 0, done.output
    assert len(log.read_text().splitlines()) == len(history(out))


def test_options_of_several_trackers_by_their_names(tmp_path):
    pytest.importorskip("tensorboardX")
    log, events = tmp_path / "all.jsonl", tmp_path / "events"
    sets = ("--set", f"jsonl.path={log}", "--set", f"tensorboard.dir={events}")
    done = train("--out", tmp_path / "run", "--tracker", "jsonl", "--tracker", "tensorboard", *sets)
    assert done.exit_code == 0, done.output
    assert log.exists()
    assert list(events.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tracker", "tensorbord"), "unknown tracker 'tensorbord'. Did you mean 'tensorboard'?"),
        (("--tracker", "jsonl", "--set", "tracker.pth=x"), "Did you mean 'path'?"),
        (("--set", "tracker.dir=x"), "unknown prefix 'tracker'; expected cell or optimizer or schedule"),
    ],
)
def test_mistakes_raise(tmp_path, arguments, message):
    done = train("--out", tmp_path / "run", *arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_show_tracker_and_check_without_laws():
    shown = CliRunner().invoke(cli, ["show", "tensorboard"])
    assert shown.exit_code == 0, shown.output
    assert "directory of the files" in shown.output
    checked = CliRunner().invoke(cli, ["check", "tensorboard"])
    assert checked.exit_code == 2
    assert "tracker 'tensorboard' has no laws" in checked.output

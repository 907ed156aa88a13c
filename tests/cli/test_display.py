"""Displays of a run: plain lines, JSON, quiet, and the live display on a recorded terminal."""

from __future__ import annotations

import contextlib
import io
import json
import math

import pytest
from rich.console import Console

from zoo.cli.commands import sample
from zoo.cli.eta import Eta
from zoo.cli.format import clock, decimal, duration, format_bytes, format_short, result
from zoo.cli.live_display import LiveDisplay
from zoo.cli.train_display import PlainDisplay, open_display
from zoo.training import Config

START = {
    "event": "start",
    "step": 0,
    "out": "runs/a b",
    "cell": "vanilla",
    "parameters": 42983,
    "threads": 2,
    "text": {
        "name": "book",
        "sha256": "37d06970fc926e60c16dff40",
        "bytes": 2000,
        "symbols": 1999,
        "vocabulary": 103,
        "train": 1800,
        "valid": 100,
        "test": 99,
    },
    "config": Config(data=("book.txt",), batch=32, seq=64, steps=1000, lr=0.002).to_json(),
}
STEP = {
    "event": "step",
    "step": 250,
    "loss": 1.5,
    "bits": 1.5 / math.log(2),
    "grad_norm": 0.5649,
    "clip_rate": 0.024,
    "symbols_per_s": 1_234_567.0,
    "lr": 0.002,
    "epoch": 1.0,
}
EVAL = {"event": "eval", "step": 500, "part": "validation", "loss": 1.25, "bits": 1.8034, "best": True}
SAMPLE = {"event": "sample", "step": 500, "text": "one\x1b[31m\ntwo\r"}
END = {"event": "end", "step": 1000, "reason": "finished", "best": 1.25, "best_step": 500, "seconds": 125.0}
RUN = [
    START,
    {"event": "compiling", "step": 0},
    {"event": "compiled", "step": 0, "seconds": 31.4, "fresh": True},
    STEP,
    EVAL,
    SAMPLE,
    {"event": "warning", "step": 500, "text": "a checkpoint is damaged"},
    {"event": "something new", "step": 501},
    END,
]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


# ---- numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (7.5, "7.50"),
        (950, "950"),
        (999.7, "1.00k"),
        (12_345, "12.3k"),
        (1.2e6, "1.20M"),
        (5e15, "5000T"),
    ],
)
def test_short_numbers(number, text):
    assert format_short(number) == text


def test_sizes():
    assert (format_bytes(950), format_bytes(12_900_000)) == ("950 B", "12.9 MB")


@pytest.mark.parametrize(
    ("seconds", "as_clock", "as_duration"),
    [
        (4.21, "0:04", "4.2 s"),
        (59.96, "1:00", "1:00 min"),
        (125, "2:05", "2:05 min"),
        (7509, "2:05:09", "2:05:09 h"),
    ],
)
def test_times(seconds, as_clock, as_duration):
    assert (clock(seconds), duration(seconds)) == (as_clock, as_duration)


def test_eta_uses_this_session_only():
    now = Clock()
    eta = Eta(now)
    eta.start(600)  # resumed
    assert eta.seconds_left(600, 1000) == 0.0
    now.time += 10
    assert eta.seconds_left(700, 1000) == pytest.approx(30.0)
    assert eta.seconds_left(1000, 1000) == 0.0


# ---- plain lines --------------------------------------------------------------------------------------


def plain(events):
    lines: list[str] = []
    watch = PlainDisplay(lines.append, lines.append)
    watch.eta.now = Clock()
    for event in events:
        watch(event)
    return lines


def test_header_aligns_long_headings():
    settings = {"constraints": ["Wh=dale", "Wx=nonnegative"], "penalties": ["activity=l2:factor=1.0"]}
    start = {**RUN[0], "config": {**RUN[0]["config"], **settings}}
    lines = plain([start])
    assert lines[0].startswith("text        book: 1,999 characters")
    assert lines[-3:] == [
        "constraints Wh=dale  Wx=nonnegative",
        "penalties   activity=l2:factor=1.0",
        "out         runs/a b",
    ]


@pytest.mark.parametrize(("steps", "text"), [(1, "1 step of"), (2, "2 steps of"), (3000, "3,000 steps of")])
def test_header_counts_steps(steps, text):
    start = {**RUN[0], "config": {**RUN[0]["config"], "steps": steps}}
    (line,) = (line for line in plain([start]) if line.startswith("train"))
    assert text in line


def test_header_of_a_long_text_shows_the_symbols_of_a_validation():
    text = {**RUN[0]["text"], "valid": 9_305_088, "validation_symbols": 499_712}
    (line,) = (line for line in plain([{**RUN[0], "text": text}]) if line.startswith("split"))
    assert line == "split  1,800 to train, 9,305,088 to validate (499,712 at a time), 99 to test"


def test_plain_lines_keep_their_form():
    assert plain(RUN) == [
        "text   book: 1,999 characters, 103 different, sha256 37d06970fc92",
        "split  1,800 to train, 100 to validate, 99 to test",
        "model  vanilla: 128 units, 1 layer, 42,983 parameters, float32",
        "train  adam at 0.002: 1,000 steps of 32 × 64 symbols, 2 threads",
        "out    runs/a b",
        "loading kernels (the first run compiles them)",
        "compiled in 31.4 s; the next run loads it",
        "step 250/1000  loss 1.5000  2.164 bits/char  1.23M chars/s  grad 0.565  clip 2%  lr 0.002  "
        "left 0:00",
        "step 500/1000  validation: loss 1.2500  1.803 bits/char  best",
        "step 500/1000  sample:",
        "  | one\x1b[31m",
        "  | two",
        "warning: a checkpoint is damaged",
        "finished at step 1,000 after 2:05 min; best: validation loss 1.2500 nats, 1.803 bits/char, at step "
        "500",
        "sample with: zoo sample 'runs/a b'",
    ]


def test_samples_in_logs_have_no_control_characters(capsys):
    with open_display(quiet=False, as_json=False) as watch:
        watch(RUN[0])
        watch(SAMPLE)
    assert "  | one\\x1b[31m\n  | two\n" in capsys.readouterr().err


def test_resumed_run_without_steps_left():
    resumed = {**START, "event": "resume", "step": 1000}
    assert "resumed at step 1000" in plain([resumed])
    assert plain([resumed, END])[-2].startswith(
        "nothing was left to do after step 1,000; --steps N goes further"
    )
    cosine = {**resumed, "config": {**resumed["config"], "schedule": "cosine"}}
    assert plain([cosine, END])[-2].startswith(
        "nothing was left to do after step 1,000; the schedule depends on --steps, so the run cannot become "
        "longer"
    )
    fewer = {**resumed, "config": {**resumed["config"], "steps": 300}}
    assert plain([fewer, END])[-2].startswith(
        "nothing was left to do after step 1,000; --steps is 300, a larger number goes further"
    )


def test_byte_text_without_validation():
    start = {
        **START,
        "text": {**START["text"], "valid": 0},
        "config": {**START["config"], "level": "byte", "layers": 2, "schedule": "cosine"},
    }
    lines = plain([start, STEP, END])
    assert "1,999 bytes" in lines[0]
    assert "2 layers" in lines[2]
    assert "cosine schedule" in lines[3]
    assert "2.164 bits/byte  1.23M bytes/s" in lines[5]
    assert "training text loss 1.2500 nats, 1.803 bits/byte" in lines[6]


def test_run_without_validation():
    assert "best: not validated yet" in plain([START, {**END, "best": None, "reason": "interrupted"}])[-2]


# ---- JSON, quiet, and which display one gets ----------------------------------------------------------


def test_json_lines(capsys):
    with open_display(quiet=False, as_json=True) as watch:
        for event in [*RUN, {"event": "diverged", "step": 3, "loss": math.nan, "grad_norm": math.inf}]:
            watch(event)
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[:-1] == RUN
    assert lines[-1] == {"event": "diverged", "step": 3, "loss": "nan", "grad_norm": "inf"}
    assert err == ""


def test_quiet_prints_warnings_only(capsys):
    with open_display(quiet=True, as_json=False) as watch:
        for event in RUN:
            watch(event)
    assert capsys.readouterr() == ("", "Warning: a checkpoint is damaged\n")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("term", "kind"), [("xterm-256color", LiveDisplay), ("dumb", PlainDisplay)])
def test_live_display_only_on_capable_terminals(term, kind, monkeypatch):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("sys.stderr", Terminal())
    context = open_display(quiet=False, as_json=False)
    assert isinstance(context if kind is LiveDisplay else context.__enter__(), kind)


# ---- the live display ---------------------------------------------------------------------------------


def recorded(width=80, colour=None):
    screen = io.StringIO()
    console = Console(
        file=screen,
        force_terminal=True,
        width=width,
        color_system=colour,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    return screen, console


def test_live_display_history():
    screen, console = recorded()
    lines: list[str] = []
    display = LiveDisplay(console, lines.append, ("--cell", "f.py:C"), now=Clock())
    for event in RUN:
        display(event)
    assert [line.rstrip() for line in screen.getvalue().splitlines()] == [
        "text   book: 1,999 characters, 103 different, sha256 37d06970fc92",
        "split  1,800 to train, 100 to validate, 99 to test",
        "model  vanilla: 128 units, 1 layer, 42,983 parameters, float32",
        "train  adam at 0.002: 1,000 steps of 32 × 64 symbols, 2 threads",
        "out    runs/a b",
        "",
        "compiled in 31.4 s; the next run loads it",
        "step     500   validation   loss 1.2500  1.803 bits/char   best",
        "╭─ step 500 " + "─" * 67 + "╮",
        "│ one\\x1b[31m" + " " * 65 + " │",
        "│ two\\r" + " " * 71 + " │",
        "╰" + "─" * 78 + "╯",
        "Warning: a checkpoint is damaged",
    ]
    assert lines == [
        "finished at step 1,000 after 2:05 min; best: validation loss 1.2500 nats, 1.803 bits/char, "
        "at step 500",
        "sample with: zoo sample 'runs/a b' --cell f.py:C",
    ]


@pytest.mark.parametrize(
    ("number", "decimals", "text"),
    [
        (0.43214, 4, "0.4321"),
        (1e-6, 4, "1e-06"),
        (0.001234, 4, "0.00123"),
        (0.0, 4, "0.0000"),
        (2.5, 3, "2.500"),
        (99999.5, 4, "99999.5000"),
        (853677703926.7625, 4, "8.537e+11"),
        (-5e30, 4, "-5e+30"),
        (math.inf, 4, "inf"),
    ],
)
def test_small_and_huge_numbers_have_significant_digits(number, decimals, text):
    assert decimal(number, decimals) == text


def below(display, console, screen):
    """The lines below the history."""
    screen.seek(0)
    screen.truncate()
    console.print(display.below)
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_live_display_progress():
    screen, console = recorded()
    now = Clock()
    display = LiveDisplay(console, print, now=now)
    assert below(display, console, screen)[0].endswith("reading the text   0:00")
    display(START)
    display(RUN[1])
    now.time += 12
    assert below(display, console, screen)[0].endswith("loading kernels (the first run compiles them)   0:12")
    display(RUN[2])
    now.time += 10
    display(STEP)
    bar, numbers = below(display, console, screen)
    assert bar.endswith("250 / 1,000  25%  0:30 left")
    assert numbers == "loss 1.5000   2.164 bits/char   1.23M chars/s   grad 0.565   clip 2%   lr 0.002"


def test_validation_updates_the_bar():
    screen, console = recorded()
    display = LiveDisplay(console, print, now=Clock())
    for event in RUN[:5]:
        display(event)
    bar, numbers = below(display, console, screen)
    assert "500 / 1,000  50%" in bar
    assert numbers.startswith("loss 1.5000")


def test_narrow_terminal_gets_an_ellipsis():
    screen, console = recorded(width=50)
    display = LiveDisplay(console, print, now=Clock())
    for event in RUN[:4]:
        display(event)
    assert len(below(display, console, screen)) == 2
    assert below(display, console, screen)[1].endswith("…")


def test_colours_and_no_colour():
    for colour, coloured in ((None, False), ("standard", True)):
        screen, console = recorded(colour=colour)
        display = LiveDisplay(console, print, now=Clock())
        for event in RUN:
            display(event)
        assert ("\x1b[32m" in screen.getvalue()) is coloured


def test_no_color_is_honoured(monkeypatch):
    from zoo.cli.terminal import make_console, styled

    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("sys.stdout", Terminal())
    assert make_console().no_color
    assert styled("x", fg="red") == "x"
    monkeypatch.delenv("NO_COLOR")
    assert styled("x", fg="red") == "\x1b[31mx\x1b[0m"


def test_live_display_restores_the_cursor():
    screen, console = recorded()
    with contextlib.suppress(KeyboardInterrupt), LiveDisplay(console, print) as display:
        display(START)
        raise KeyboardInterrupt
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 1


def test_next_commands_name_the_data_that_a_run_lacks():
    def flags(data, known_future=()):
        table = {"parts": [9, 0, 0], "spec": {"roles": {"known_future": known_future}}}
        config = {**START["config"], "data": [data]}
        start = {"event": "start", "step": 0, "out": "r", "table": table, "config": config}
        event = {"event": "end", "step": 9, "reason": "finished", "best": 1.0, "best_step": 9, "seconds": 1}
        lines = [line.split(" with: zoo ") for line in result(event, start, ()) if " with: " in line]
        return [command for _, command in lines]

    assert flags("x.csv") == ["forecast r", "eval r"]
    assert flags("x.csv", ["holiday"]) == ["forecast r --data FILE", "eval r"]
    assert flags("-") == ["forecast r --data FILE", "eval r --data FILE"]


def test_prompt_waits_for_message_of_first_symbol(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)

    def pieces():
        yield from "prompt: "
        written.write("compiling ...\n")
        yield from "abc"

    sample._write(pieces(), len("prompt: "))
    sample._write(iter(["alone"]), 0)
    assert written.getvalue() == "compiling ...\nprompt: abc\nalone\n"

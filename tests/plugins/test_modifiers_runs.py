"""Modified cells in training: noise that survives kills, checkpoints that name modifiers and nothing more."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from crash_tests.equality import compare_runs

import zoo
from zoo.cli.app import cli
from zoo.errors import CheckpointError, ZooWarning
from zoo.kernels import pure_python

TEXT = "".join(f"{n} times {n} is {n * n}; " for n in range(11))
CELL = "vanilla+zoneout+recurrent_dropout"
SETTINGS = {
    "cell": CELL,
    "cell_options": {"zoneout_p": 0.3},
    "hidden": 6,
    "layers": 2,
    "batch": 3,
    "seq": 8,
    "steps": 12,
    "split": "80,20",
    "eval_every": 4,
    "save_every": 3,
    "log_every": 2,
}
FILE = '''
import numpy as np
import zoo


class Mine(zoo.Cell):
    """h' = tanh(x W + h U)."""

    card = zoo.Card(title="None", authors="Nobody", year=2026, url="https://example.org")
    W = zoo.Param("I", "H", init="glorot_uniform")
    U = zoo.Param("H", "H", init="orthogonal")
    h = zoo.State("H")

    def step(self, x, h):
        return np.tanh(x @ self.W + h @ self.U)
'''


class Crash(Exception):
    """Something that nobody expected."""


@pytest.fixture(autouse=True)
def plain_python(monkeypatch):
    """Kernels as the Python they are, in this process and in those it starts."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("ZOO_PLUGINS", "")
    with pure_python():
        yield


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def go(text, tmp_path):
    """A function that begins a run, or goes on with it."""

    def train(name, on_event=None, **changes):
        return zoo.train(text, out=tmp_path / name, resume=True, on_event=on_event, **{**SETTINGS, **changes})

    return train


def run(*args, code=0):
    result = CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="zoo", catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


# ---- noise in training --------------------------------------------------------------------------------


def test_crash_at_any_event_changes_nothing(go, tmp_path):
    whole = go("whole")
    for number in range(2, len(whole.history) + 1, 3):
        seen = []

        def watch(event, number=number, seen=seen):
            seen.append(event)
            if len(seen) == number:
                raise Crash

        with pytest.raises(Crash):
            go(f"crash-{number}", on_event=watch)
        go(f"crash-{number}")
        compare_runs(whole.path, tmp_path / f"crash-{number}")


def test_killed_run_resumes_bit_exactly(text, tmp_path):
    flags = ["--cell", CELL, "--set", "zoneout_p=0.3", "--hidden", "6", "--batch", "3", "--seq", "8"]
    flags += ["--steps", "90", "--save-every", "5", "--eval-every", "50", "--log-every", "100"]

    def command(name):
        words = ["train", "--data", str(text), *flags, "--split", "80,20", "--out", str(tmp_path / name)]
        return [sys.executable, "-m", "zoo", *words, "--resume", "--quiet"]

    subprocess.run(command("whole"), check=True)
    for _ in range(5):  # on a busy machine, a run may end before it is killed
        killed = subprocess.Popen(command("killed"))
        checkpoints = tmp_path / "killed" / "checkpoints"
        while not list(checkpoints.glob("step-0000003*")) and killed.poll() is None:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        if killed.wait() == -signal.SIGKILL:
            break
        shutil.rmtree(tmp_path / "killed")
    assert killed.returncode == -signal.SIGKILL
    subprocess.run(command("killed"), check=True)
    compare_runs(tmp_path / "whole", tmp_path / "killed")


def test_threads_and_segments_change_no_noise(go):
    one = go("one", batch=12, threads=1)
    two = go("two", batch=12, threads=2)
    np.testing.assert_array_equal(one.model.theta, two.model.theta)
    cut = go("cut", batch=12, recompute=3)
    np.testing.assert_allclose(cut.model.theta, one.model.theta, rtol=1e-3, atol=1e-5)


def test_seed_decides_the_noise(go):
    steps = {"steps": 1, "eval_every": 1, "save_every": 1, "log_every": 1}
    losses = [go(str(seed), seed=seed, **steps).history for seed in (0, 1)]
    assert losses[0][3]["loss"] != losses[1][3]["loss"]


def test_validation_and_samples_have_no_noise(go):
    model = go("run").model
    assert model.sample("1", 20) == model.sample("1", 20)
    tokens = np.arange(12).reshape(6, 2) % len(model.vocab)
    assert model.loss(tokens, tokens)[0] == model.loss(tokens, tokens)[0]


# ---- checkpoints --------------------------------------------------------------------------------------


def test_run_names_the_cell_its_modifiers_and_all_options(go):
    path = go("run").path
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    assert config["cell"] == CELL
    options = {"zoneout_p": 0.3, "zoneout_p_memory": -1.0, "recurrent_dropout_p": 0.25}
    assert config["cell_options"] == options
    assert zoo.load(path).cell == zoo.get_cell(CELL, zoneout_p=0.3)


def test_commands_accept_modified_cell(text, tmp_path):
    out = tmp_path / "run"
    flags = ("--hidden", 6, "--batch", 2, "--seq", 8, "--split", "80,10,10", "--quiet")
    run("train", "--data", text, "--cell", CELL, "--set", "zoneout_p=0.2", *flags, "--steps", 4, "--out", out)
    run("train", "--resume", "--out", out, "--steps", 6, "--quiet")
    assert zoo.load(out).cell.options["zoneout_p"] == 0.2
    assert run("sample", out, "--prompt", "1", "--length", 5).stdout
    assert "test part" in run("eval", out).stdout
    refused = run("train", "--resume", "--out", out, "--set", "zoneout_p=0.4", code=1)
    assert "cannot be resumed with another configuration" in refused.output


def test_file_cell_with_modifiers_is_resumed_by_file(text, tmp_path):
    file, out = tmp_path / "mine.py", tmp_path / "run"
    file.write_text(FILE, encoding="utf-8")
    flags = ("--hidden", 6, "--batch", 2, "--seq", 8, "--split", "80,10,10", "--quiet", "--steps", 4)
    run(
        "train",
        "--data",
        text,
        "--cell",
        f"{file}:Mine+low_rank",
        "--set",
        "low_rank_r=2",
        *flags,
        "--out",
        out,
    )
    for cell in (f"{file}:Mine+low_rank", f"{file}:Mine"):
        run("sample", out, "--cell", cell, "--length", 3)
    assert "not registered here" in run("sample", out, "--length", 3, code=1).output
    other = run("sample", out, "--cell", f"{file}:Mine+zoneout", "--length", 3, code=1).output
    assert "made with the cell 'mine+low_rank'; found cell class" in other


def test_unknown_modifier_raises(tmp_path):
    class Odd(zoo.Modifier):
        """A modifier that changes nothing."""

        card = zoo.Card(title="None", authors="Nobody", year=2026, url="https://example.org")

    path = tmp_path / "model.safetensors"
    zoo.LanguageModel("ab", zoo.modify("vanilla", Odd), hidden_size=2).save(path)
    with pytest.raises(CheckpointError, match=r"cell 'vanilla\+odd', which is not registered here"):
        zoo.load(path)


def test_changed_modifier_warns(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    zoo.LanguageModel("ab", "vanilla+zoneout", hidden_size=2).save(path)
    modifier = type(zoo.get_modifier("zoneout"))
    monkeypatch.setattr(modifier, "source_digest", classmethod(lambda cls: "another"))
    with pytest.warns(ZooWarning, match="has changed since this model was made"):
        zoo.load(path)


# ---- commands -----------------------------------------------------------------------------------------


def test_modifiers_are_listed():
    assert [each["name"] for each in json.loads(run("modifiers", "--json").stdout)] == zoo.list_modifiers()
    table = run("modifiers", "*norm").stdout
    assert "layer_norm_eps=1e-05" in table
    assert "zoneout" not in table.partition("\n\n")[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("modifiers", "zoneot"), "no modifier matches 'zoneot'. Did you mean 'zoneout'?"),
        (
            ("check", "zoneout"),
            "modifier 'zoneout' has no laws of its own; check a cell with it, CELL+zoneout.",
        ),
        (("show", "lstm+zoneot"), "unknown modifier 'zoneot'. Did you mean 'zoneout'?"),
        (("train", "--cell", "indrnn+diagonal"), "modifier 'diagonal' does not suit cell 'indrnn'"),
        (("train", "--cell", "lstm+zoneout", "--set", "zoneout_p=2"), "option 'zoneout_p' is 2.0; expected"),
        (
            ("train", "--cell", "lstm+zoneout", "--set", "p=1"),
            "unknown option 'p': cell 'lstm+zoneout' has",
        ),
    ],
)
def test_invalid_modifier_spec_raises(words, message):
    assert message in run(*words, code=2).output


def test_show_modifier_and_modified_cell():
    assert "probability that a unit keeps its value" in run("show", "zoneout").stdout
    shown = run("show", "lstm+low_rank").stdout
    assert shown.startswith("lstm+low_rank  cell, lstm, from recurrent-zoo")
    assert "Wh_left   (H, low_rank_r)" in shown
    assert "Modified by low_rank: Oleksii Kuchaiev" in " ".join(shown.split())


def test_listing_modifiers_imports_no_compiler():
    script = (
        "import sys, zoo; zoo.list_modifiers(); zoo.get_modifier('zoneout'); print('numba' in sys.modules)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert completed.stdout.strip() == "False"


def test_check_accepts_modified_cell():
    folder = Path(__file__).parent
    script = (
        "from zoo.testing import check_in_child; print(check_in_child('cell:nothing+zoneout', timeout=60))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, check=False
    )
    assert "unknown cell 'nothing'" in completed.stderr

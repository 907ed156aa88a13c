"""Files of any size cost no more memory than what is read of them: a header, a line, a stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.data import read_text
from zoo.data import sources as data_files
from zoo.report import activations, history
from zoo.storage import Checkpoint, RunDirectory, load, log, save
from zoo.storage.safe_read import MAX_JSON_BYTES, read_json

MB = 2**20
posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")


@contextmanager
def peak(most: int) -> Iterator[None]:
    """Within the block no more than so many bytes are allocated."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def sparse(path: Path, size: int, start: bytes = b"") -> Path:
    """A file of so many bytes that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return path


# --- Checkpoints and JSON ---

ENVELOPE = json.dumps({"format": 1, "meta": {}, "sha256": "0" * 64})


def header(**arrays: object) -> bytes:
    text = json.dumps({"__metadata__": {"zoo": ENVELOPE}, **arrays}).encode()
    return len(text).to_bytes(8, "little") + text


HEADS: dict[str, bytes] = {
    "zeros": b"",
    "a header of the largest size": (16 * MB).to_bytes(8, "little"),
    "a whole header without arrays": header(),
    "an array that is too small": header(a={"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}),
    "an array that is too large": header(a={"dtype": "U8", "shape": [2**40], "data_offsets": [0, 2**40]}),
}


@pytest.mark.parametrize("head", HEADS)
def test_sparse_file_costs_its_header(head: str, tmp_path: Path) -> None:
    file = sparse(tmp_path / "sparse", 8 * 2**30, HEADS[head])
    with peak(40 * MB), pytest.raises(zoo.CheckpointError, match="cannot load"):
        load(file)


def test_arrays_are_in_memory_once(tmp_path: Path) -> None:
    array = np.arange(4 * MB, dtype=np.uint8)
    save(tmp_path / "file", Checkpoint({"a": array, "b": array[:7], "c": np.array(2.5)}, {}))
    with peak(int(1.5 * array.nbytes)):
        checkpoint = load(tmp_path / "file")
    assert (checkpoint.arrays["a"] == array).all()
    assert checkpoint.arrays["c"].shape == ()
    assert all(each.flags.writeable and each.flags.owndata for each in checkpoint.arrays.values())


def test_json_is_bounded(tmp_path: Path) -> None:
    file = sparse(tmp_path / "config.json", 60 * MB, b'{"a": "')
    with peak(MB), pytest.raises(zoo.CheckpointError, match=f"expected at most {MAX_JSON_BYTES:,}"):
        read_json(file)


def test_numbers_have_300_digits_at_most(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(f'{{"a": {10**299}}}', encoding="utf-8")
    assert read_json(file) == {"a": 10**299}
    for number in (10**300, -(10**299), 10**400, 10**4000):
        file.write_text(f'{{"a": {number}}}', encoding="utf-8")
        with pytest.raises(zoo.CheckpointError, match="has more than 300 digits") as caught:
            read_json(file)
        assert len(str(caught.value)) < 400
        with pytest.raises(zoo.CheckpointError, match="digits"):
            RunDirectory(tmp_path).write_config({"a": 10**400})


# --- Logs ---

LINE = {"event": "step", "loss": 1.25, "lr": 0.001, "seconds": 0.1, "symbols_per_s": 1e6, "text": ""}


def long_log(folder: Path, lines: int, text: str = "") -> Path:
    text = "".join(json.dumps({**LINE, "step": step, "text": text}) + "\n" for step in range(lines))
    path = folder / "log.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_log_is_truncated_and_extended_line_by_line(tmp_path: Path) -> None:
    path = long_log(tmp_path, 2_000, "x" * 10_000)
    with peak(path.stat().st_size // 4):
        log.truncate(path, 1_500)
        log.append(path, {"step": 3})
    assert sum(1 for _ in log.iterate(path)) == 1_502


def test_line_is_bounded(tmp_path: Path) -> None:
    path = sparse(tmp_path / "log.jsonl", 300 * MB, b'{"step": 1}\n')
    with peak(4 * MB), pytest.raises(zoo.CheckpointError, match="line 2: it has more than 1,048,576 bytes"):
        log.read(path)
    with (
        peak(4 * MB),
        pytest.raises(zoo.CheckpointError, match="its last line has more than"),
    ):
        log.append(path, {"step": 2})
    assert path.stat().st_size == 300 * MB, "nothing of it was lost"
    path.unlink()
    with pytest.raises(zoo.CheckpointError, match="expected at most 1,048,576"):
        log.append(path, {"text": "x" * MB})
    most = "\N{CUNEIFORM SIGN A}" * zoo.training.setting_checks.MAX_SAMPLE_LENGTH
    log.append(path, {"event": "sample", "step": 10**12, "text": most})
    assert log.read(path)[0]["text"] == most, "the longest sample fits"


def test_run_reads_its_log_line_by_line(tmp_path: Path) -> None:
    path = long_log(tmp_path, 2_000, "x" * 1_000)
    for loss in (3.5, 2.5, "nan", "inf"):
        log.append(path, {"event": "eval", "step": 1, "loss": loss})
    log.append(path, {"event": "end", "step": 2, "reason": "finished"})
    run = zoo.Run(tmp_path)
    with peak(path.stat().st_size // 4):
        assert (run.best_loss, run.ended) == (2.5, "finished")


@pytest.mark.parametrize("loss", [None, "x", [1.0], {}, True])
def test_invalid_stored_loss_raises(loss: object, tmp_path: Path) -> None:
    log.append(tmp_path / "log.jsonl", {"event": "eval", "step": 1, "loss": loss})
    with pytest.raises(zoo.CheckpointError, match=r"a validation has the loss .*; expected a number"):
        zoo.Run(tmp_path).best_loss  # noqa: B018 - reading it raises


@pytest.mark.parametrize("last", [{"event": []}, {"event": {"a": 1}}, {}, {"event": "step"}])
def test_run_without_an_end(last: dict[str, object], tmp_path: Path) -> None:
    log.append(tmp_path / "log.jsonl", last)
    assert zoo.Run(tmp_path).ended is None


def test_report_thins_a_long_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_BYTES", 50_000)
    path = long_log(tmp_path, 5_000)
    for step, best in ((5_000, True), (5_001, False), (5_002, False)):
        log.append(path, {"event": "eval", "step": step, "loss": float(step), "best": best})
    log.append(path, {"event": "end", "step": 5_003})
    read = history.RunHistory.read(RunDirectory(tmp_path))
    steps = [event["step"] for event in read.events_of("step")]
    assert 200 < len(steps) < 1_000
    assert (steps[0], steps[-1]) == (0, 4_999)
    assert len(set(np.diff(steps[:-1]))) == 1
    assert [event["step"] for event in read.events_of("eval") if event["best"]] == [5_000]
    assert read.events[-1]["event"] == "end"


def test_report_shows_complete_short_log(tmp_path: Path) -> None:
    long_log(tmp_path, 1_000)
    assert len(history.RunHistory.read(RunDirectory(tmp_path)).events) == 1_000


# --- Texts ---


@posix
def test_device_as_text_raises() -> None:
    for level in ("char", "byte"):
        with pytest.raises(zoo.DataError, match="is a device, which may never end"):
            read_text("/dev/zero", level)  # type: ignore[arg-type]


@posix
def test_file_named_by_checkpoint_must_be_regular(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(zoo.DataError, match="is not a regular file"):
            read_text(path, max_bytes=100)
        with pytest.raises(zoo.DataError, match="is not a regular file"):
            data_files.check_configured_sources([str(path)], "*")
    with pytest.raises(zoo.DataError, match="came from standard input, which is not read again"):
        read_text("-", max_bytes=100)


def test_file_named_by_checkpoint_is_bounded(tmp_path: Path) -> None:
    """Over all files and sources together, before any of the file that is too large is read."""
    for name, size in (("a", 60), ("b", 60)):
        (tmp_path / name).write_text("xy" * (size // 2), encoding="utf-8")
    a, b = tmp_path / "a", tmp_path / "b"
    assert len(read_text([a, b], max_bytes=120)) == 120
    for sources in ([a, b], tmp_path):
        with pytest.raises(zoo.DataError, match=r"'.*b' exceeds the limit of"):
            read_text(sources, max_bytes=119)  # type: ignore[arg-type]
    huge = sparse(tmp_path / "huge", data_files.MAX_CONFIGURED_BYTES + 1)
    with peak(MB), pytest.raises(zoo.DataError, match="give `data`"):
        read_text(huge, max_bytes=data_files.MAX_CONFIGURED_BYTES)
    with pytest.raises(zoo.DataError, match="exceeds the limit of"):
        data_files.check_configured_sources([str(tmp_path)], "*")
    data_files.check_configured_sources([str(a), "-", "builtin:hello", str(tmp_path / "gone")], "*")


def test_directory_named_by_checkpoint_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_files, "MAX_CONFIGURED_FILES", 3)
    for name in "abcd":
        (tmp_path / name).write_text("xy", encoding="utf-8")
    with pytest.raises(zoo.DataError, match="holds more than 3 files"):
        read_text(tmp_path, max_bytes=100)
    assert len(read_text(tmp_path)) == 8, "what a person names is read"


# --- Runs that name them ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bounded") / "run"
    zoo.train("builtin:hello", hidden=2, steps=1, threads=1, out=out)
    return out


def rewritten(trained: Path, tmp_path: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """A copy of a run with a changed configuration, in its checkpoint too."""
    copy, (_, file) = RunDirectory(tmp_path / "run"), RunDirectory(trained).checkpoints()[-1]
    copy.create()
    config = RunDirectory(trained).read_config()
    stored = load(file)
    change(config)
    change(stored.meta)
    if isinstance(stored.meta["config"], dict):
        change(stored.meta["config"])
    copy.write_config({name: value for name, value in config.items() if name != "text"})
    copy.save(1, stored, best=True)
    return copy.path


@posix
@pytest.mark.parametrize("source", ["/dev/zero", "pipe", "-"])
def test_commands_read_files_named_by_runs_with_bounds(source: str, trained: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from zoo.cli.app import cli

    os.mkfifo(tmp_path / "pipe")
    name = str(tmp_path / "pipe") if source == "pipe" else source
    path = rewritten(
        trained, tmp_path, lambda config: config.update(data=[name]) if "data" in config else None
    )
    commands = [["eval", str(path)]]
    if source != "-":  # of which a page says that it is gone, and a run reads what is piped to it again
        commands.append(["report", str(path), "--symbols", "5"])
        commands.append(["train", "--resume", "--out", str(path), "--steps", "2"])
    for command in commands:
        result = CliRunner(env={"ZOO_PLUGINS": ""}).invoke(cli, command, prog_name="zoo")
        assert "standard input" in result.output or "not a regular file" in result.stderr, command


def test_digest_with_escapes_raises(trained: Path, tmp_path: Path) -> None:
    from zoo.cli.eval_model import open_model

    record = {"sha256": "\x1bc" * 32}
    path = rewritten(trained, tmp_path, lambda meta: meta.update(text=record) if "text" in meta else None)
    with pytest.raises(zoo.CheckpointError, match=r"x1bc.*'; expected 64 hexadecimal digits") as caught:
        open_model(path, None)
    assert str(caught.value).isprintable()


# --- Reports ---


def test_report_holds_the_outputs_of_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all 50 steps would take 4 MB, and twice that again four times."""
    model = zoo.LanguageModel(tuple(map(chr, range(0x4E00, 0x4E00 + 20_000))), "vanilla", 2, threads=1)
    tokens = np.arange(50, dtype=np.int32)
    model.outputs(tokens[:1, None])  # compiled before memory is counted
    with peak(2 * MB):
        seen = activations.read_text(model, model.vocab, tokens, 50, "test")
    outputs, _ = model.outputs(tokens[:, None])
    assert (len(seen.symbols), seen.surprise[0]) == (50, None)
    assert np.allclose(seen.surprise[1:], activations._bits(outputs[:-1, 0], tokens[1:]), atol=0.011)
    monkeypatch.setattr(activations, "MAX_ACTIVATIONS", 20)
    assert len(activations.read_text(model, model.vocab, tokens, 50, "test").symbols) == 10


def test_length_of_a_report_is_bounded(trained: Path) -> None:
    with pytest.raises(zoo.UsageError, match="symbols is 100001; expected an integer from 0 to 100000"):
        zoo.report.make_report(trained, symbols=100_001)


# --- Tokens ---


def test_token_file_is_mapped(tmp_path: Path) -> None:
    file = sparse(tmp_path / "tokens.bin", 256 * MB)
    with peak(8 * MB):
        corpus = read_text(file, level="token", vocab_size=100)
        assert len(corpus) == 128 * MB
        assert zoo.data.BpttBatches(corpus.tokens, 32, 64).window(3).inputs.shape == (64, 32)


LARGE_VOCABULARY = """
import resource, sys
import numpy as np, zoo
model = zoo.LanguageModel(zoo.data.TokenVocabulary(30_000), hidden_size=8, embedding=8, threads=2)
sizes = []
for steps in (1, 64):
    tokens = np.zeros((steps, 40), np.int32)
    model.loss_and_grad(tokens, tokens)
    model.loss(tokens, tokens)
    sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print((sizes[1] - sizes[0]) * (1 if sys.platform == "darwin" else 1024))
"""


@posix
def test_loss_of_a_large_vocabulary_stores_no_logits_of_all_tokens() -> None:
    command = [sys.executable, "-c", LARGE_VOCABULARY]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=300)
    assert int(done.stdout) < 30 * MB  # the logits of 2,560 tokens are 293 MB

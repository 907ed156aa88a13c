"""Every public function and method with arguments that fit, and values that fit nowhere."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import zoo
from zoo.training.config import Config
from zoo.training.config_conversion import make_config

T, B, I, H, V = 3, 2, 3, 4, 2  # noqa: E741 - the letters of the documents


EMPTY = zoo.report.ReportPage("title", "subtitle", (), ())

SETTINGS = {
    each.name: getattr(Config(), each.name) for each in dataclasses.fields(Config) if each.name != "task"
}


def stop(event: Any) -> None:
    """End a run whose arguments all fit."""
    raise zoo.ZooError(f"enough at {event['event']}")


class Stopping:
    """End a comparison whose arguments all fit."""

    def map(self, jobs: Any, tell: Any) -> Any:
        """Raise an error, and run no jobs."""
        raise zoo.ZooError(f"enough of {jobs} and {tell}")


class Call(NamedTuple):
    """A function, and arguments that fit.

    Args:
        function: What is called.
        arguments: By name, all of them positional or by keyword.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    def run(self, **changed: Any) -> Any:
        """Call it, with some arguments changed."""
        given = {**self.arguments, **changed}
        kinds = inspect.signature(self.function).parameters
        first = [given.pop(name) for name, each in kinds.items() if each.kind == each.POSITIONAL_ONLY]
        for name, each in kinds.items():
            if each.kind == each.VAR_POSITIONAL:
                rest = given.pop(name, ())
                first += rest if isinstance(rest, tuple) else [rest]
        return self.function(*first, **given)

    def parameters(self) -> Iterator[str]:
        """The names of what it takes, one by one."""
        yield from self.arguments


def values() -> dict[str, Any]:
    """Values of wrong kinds, sizes and signs."""
    return {
        "None": None,
        "a string": "nothing of this name",
        "no string": "",
        "bytes": b"\xff\0",
        "a path with NUL": "a\0b",
        "a Path with NUL": Path("a\0b"),
        "minus one": -1,
        "zero": 0,
        "a fraction": 1.5,
        "not a number": float("nan"),
        "infinity": float("inf"),
        "a huge integer": 10**30,
        "true": True,
        "a complex number": 1j,
        "an empty list": [],
        "a list": [1, 2],
        "a list of strings": ["a", "b"],
        "a ragged list": [[1], [1, 2]],
        "a mapping": {"a": 1},
        "an object": object(),
        "a function": len,
        "a class": dict,
        "a masked array": np.ma.masked_equal(np.arange(T * B * I).reshape(T, B, I), 1),
        "an array of objects": np.array([None, "a"], dtype=object),
        "an array of complex numbers": np.ones((T, B, I), complex),
        "an array of strings": np.array(["a", "b"]),
        "an array without axes": np.array(1),
    }


def after_forward(rnn: zoo.Recurrent, x: np.ndarray) -> zoo.RTRL:
    """An online gradient after a forward pass."""
    gradient = zoo.RTRL(rnn)
    gradient.forward(x)
    return gradient


def calls(folder: Path) -> dict[str, Call]:
    """All calls, by name."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(T, B, I)).astype(np.float32)
    tokens = rng.integers(V, size=(T, B)).astype(np.int32)
    rnn = zoo.Recurrent("vanilla", I, H, threads=1)
    y, _, tape = rnn.apply(rnn.theta, x)
    rnn.forward(x)
    language = zoo.LanguageModel("ab", "vanilla", H, threads=1)
    sequence = zoo.SequenceModel("vanilla", I, V, H, threads=1)
    numbers = zoo.SequenceModel("vanilla", I, V, H, loss="squared_error", threads=1)
    fitted = zoo.model.RidgeRegression(H, V)
    fitted.add(np.ones((T, H)), np.ones((T, V)))
    file = folder / "model.safetensors"
    language.save(file)
    table_file = folder / "table.csv"
    table_file.write_text("a,b\n1,2\n")
    text = folder / "text.txt"
    text.write_text("abab" * 20)
    corpus = zoo.data.read_text(text)
    vocabulary, words = zoo.data.Vocabulary("ab"), zoo.data.WordVocabulary(["<unk>", "a", "b"])
    adam, top_k, copying = zoo.get_optimizer("adam"), zoo.get_sampler("top_k"), zoo.get_task("copying")
    theta = np.zeros(3, np.float32)
    given = {"state": None, "noise": None, "lengths": None, "trace": None}
    sizes = {"hidden_size": H, "num_layers": 1, "dtype": "float32", "seed": 0, "threads": 1}
    of_models = {"recompute": None, "initial": None, "dropout": 0.0, "residual": False}
    fit_options = {"epochs": 1, "steps": None, "batch_size": 2, "optimizer": "sgd", "lr": 1e-30}
    fit_options |= {"clip": 1.0, "seed": 0, "progress": False}
    results = {
        "Recurrent": (
            zoo.Recurrent,
            {
                "cell": "vanilla",
                "input_size": I,
                **sizes,
                **{k: v for k, v in of_models.items() if k != "initial"},
                "bidirectional": False,
                "learned_state": False,
            },
        ),
        "Recurrent.forward": (rnn.forward, {"x": x, **given}),
        "Recurrent.apply": (rnn.apply, {"theta": rnn.theta, "x": x, **given}),
        "Recurrent.backward": (rnn.backward, {"dy": y, "dstate": None, "trace_grads": None}),
        "Recurrent.vjp": (rnn.vjp, {"tape": tape, "dy": y, "dstate": None}),
        "Recurrent.jvp": (
            rnn.jvp,
            {
                "x": x,
                "x_tangent": x,
                "state": None,
                "state_tangent": None,
                "theta_tangent": rnn.theta,
                "noise": None,
                "lengths": None,
                "tape": True,
            },
        ),
        "JVP.gradient_tangents": (
            rnn.jvp(x, x).gradient_tangents,
            {"dy": y, "dstate": None, "dy_tangent": y},
        ),
        "grad": (zoo.grad, {"function": np.sum, "argnums": 0}),
        "value_and_grad": (zoo.value_and_grad, {"function": np.sum, "argnums": 0}),
        "gradient of an array": (lambda a: zoo.grad(np.sum)(a), {"a": np.ones(3)}),
        "Recurrent.stepper": (rnn.stepper, {"batch_size": 2, "state": None}),
        "Stepper.step": (rnn.stepper(2).step, {"x": x[0]}),
        "Stepper.reset": (rnn.stepper(2).reset, {"done": None}),
        "SequenceModel.stepper": (sequence.stepper, {"batch_size": 2, "state": None}),
        "Recurrent.step": (rnn.step, {"x": x[0], "state": None}),
        "Recurrent.save": (rnn.save, {"path": folder / "layer.safetensors"}),
        "Recurrent.fill": (rnn.fill, {"arrays": {}}),
        "RTRL": (zoo.RTRL, {"model": rnn}),
        "UORO": (zoo.UORO, {"model": rnn, "seed": 0}),
        "RTRL.forward": (lambda **given: zoo.RTRL(rnn).forward(**given), {"x": x, "noise": None}),
        "RTRL.backward": (lambda dy: after_forward(rnn, x).backward(dy), {"dy": y}),
        "RTRL.loss_and_grad": (
            lambda **given: zoo.RTRL(sequence).loss_and_grad(**given),
            {"inputs": x, "targets": tokens, "weights": None, "noise": None},
        ),
        "RTRL.load_state_dict": (zoo.RTRL(rnn).load_state_dict, {"arrays": zoo.RTRL(rnn).state_dict()}),
        "width_groups": (zoo.width_groups, {"model": language, "base_hidden": 2}),
        "LanguageModel": (
            zoo.LanguageModel,
            {"vocab": "ab", "cell": "vanilla", "embedding": 2, "tie": False, **sizes, **of_models},
        ),
        "LanguageModel.loss_and_grad": (
            language.loss_and_grad,
            {"inputs": tokens, "targets": tokens, "state": None, "noise": None, "weights": None},
        ),
        "LanguageModel.loss": (
            language.loss,
            {"inputs": tokens, "targets": tokens, "state": None, "weights": None},
        ),
        "LanguageModel.logits": (language.logits, {"inputs": tokens, "state": None}),
        "LanguageModel.outputs": (language.outputs, {"inputs": tokens, "weights": None, "state": None}),
        "LanguageModel.evaluate_batch": (
            language.evaluate_batch,
            {"inputs": tokens, "targets": tokens, "weights": None, "state": None},
        ),
        "LanguageModel.sample": (
            language.sample,
            {"prompt": "a", "length": 2, "sampler": None, "seed": 0, "on_unknown": "error"},
        ),
        "LanguageModel.save": (language.save, {"path": folder / "saved.safetensors"}),
        "SequenceModel": (
            zoo.SequenceModel,
            {
                "cell": "vanilla",
                "input_size": I,
                "output_size": V,
                "loss": "cross_entropy",
                **sizes,
                **of_models,
            },
        ),
        "SequenceModel.loss_and_grad": (
            sequence.loss_and_grad,
            {"inputs": x, "targets": tokens, "weights": None, "state": None, "noise": None},
        ),
        "SequenceModel.loss_and_state_grad": (
            sequence.loss_and_state_grad,
            {"inputs": x, "targets": tokens, "weights": None, "state": None, "noise": None},
        ),
        "SequenceModel.loss": (
            sequence.loss,
            {"inputs": x, "targets": tokens, "weights": None, "state": None},
        ),
        "SequenceModel.fit": (
            sequence.fit,
            {
                "inputs": x,
                "targets": np.zeros(B, int),
                "weights": None,
                "lengths": None,
                "aux": None,
                "validation": (x, np.zeros(B, int)),
                "class_weights": None,
                **fit_options,
                "patience": 1,
            },
        ),
        "SequenceModel.fit_readout": (
            numbers.fit_readout,
            {
                "inputs": x,
                "targets": np.ones((T, B, V)),
                "weights": None,
                "ridge": 1.0,
                "washout": 1,
                "lengths": None,
                "aux": None,
                "validation": (x, np.ones((T, B, V))),
                "seed": 0,
            },
        ),
        "SequenceModel.add_to_regression": (
            numbers.add_to_regression,
            {
                "regression": zoo.model.RidgeRegression(H, V),
                "inputs": x,
                "targets": np.ones((T, B, V)),
                "weights": None,
                "lengths": None,
            },
        ),
        "RidgeRegression": (zoo.model.RidgeRegression, {"features": H, "targets": V}),
        "RidgeRegression.add": (
            zoo.model.RidgeRegression(H, V).add,
            {"features": np.ones((T, H)), "targets": np.ones((T, V)), "weights": np.ones(T)},
        ),
        "RidgeRegression.solve": (fitted.solve, {"ridge": 1.0}),
        "SequenceModel.evaluate": (
            sequence.evaluate,
            {"inputs": x, "targets": np.zeros(B, int), "weights": None, "lengths": None, "aux": None},
        ),
        "LanguageModel.fit": (
            language.fit,
            {"text": "abab", "validation": None, "seq": 2, "carry": True, **fit_options},
        ),
        "LanguageModel.evaluate": (
            language.evaluate,
            {"text": "abab", "seq": 2, "batch_size": 1, "carry": True},
        ),
        "SequenceModel.predict": (sequence.predict, {"inputs": x, "weights": None, "state": None}),
        "SequenceModel.outputs": (sequence.outputs, {"inputs": x, "weights": None, "state": None}),
        "SequenceModel.evaluate_batch": (
            numbers.evaluate_batch,
            {"inputs": x, "targets": np.ones((T, B, V)), "weights": None, "state": None},
        ),
        "load": (zoo.load, {"path": file, "cell": None, "threads": 1}),
        "Run": (lambda path, cell: zoo.Run(path, cell).history, {"path": folder, "cell": None}),
        "Run.model": (lambda path, cell: zoo.Run(path, cell).model, {"path": folder, "cell": None}),
        "learning_curves": (zoo.learning_curves, {"run": [{"event": "step", "step": 1, "loss": 0.5}]}),
        "Comparison": (
            lambda path, reference: zoo.Comparison(path, reference).table(),
            {"path": folder, "reference": None},
        ),
        "modify": (zoo.modify, {"cell": "lstm", "modifier": "zoneout"}),
        **{
            f"list_{kind}s": (getattr(zoo, f"list_{kind}s"), {"pattern": "*"})
            for kind in ("block", "cell", "constraint", "modifier", "optimizer", "sampler", "task", "tracker")
        },
        "list_penalties": (zoo.list_penalties, {"pattern": "*"}),
        **{
            f"get_{kind}": (getattr(zoo, f"get_{kind}"), {"name": name})
            for kind, name in (
                ("cell", "lstm"),
                ("block", "prenorm"),
                ("modifier", "zoneout"),
                ("optimizer", "adam"),
                ("sampler", "top_k"),
                ("task", "copying"),
                ("tracker", "jsonl"),
                ("constraint", "dale"),
                ("penalty", "l2"),
            )
        },
        **{
            f"register_{kind}": (getattr(zoo, f"register_{kind}"), {"cls": type(member), "override": True})
            for kind, member in (
                ("cell", zoo.get_cell("lstm")),
                ("block", zoo.get_block("prenorm")),
                ("modifier", zoo.get_modifier("zoneout")),
                ("optimizer", adam),
                ("sampler", top_k),
                ("task", copying),
                ("tracker", zoo.get_tracker("jsonl")),
                ("constraint", zoo.get_constraint("dale")),
                ("penalty", zoo.get_penalty("l2")),
            )
        },
        "Optimizer.init": (adam.init, {"theta": theta}),
        "Optimizer.slot_shapes": (adam.slot_shapes, {"parameter_count": 3}),
        "Optimizer.apply": (
            adam.apply,
            {"theta": theta, "grad": theta, "slots": adam.init(theta), "step": 1, "lr": None},
        ),
        "Optimizer.bind": (
            lambda target, **chosen: adam.bind(target, **chosen).step(),
            {
                "target": zoo.Recurrent("vanilla", I, H),
                "clip_norm": None,
                "param_groups": None,
            },
        ),
        "Chain": (zoo.Chain, {"samplers": (top_k,)}),
        "Sampler.probabilities": (top_k.probabilities, {"logits": np.zeros(3)}),
        "Sampler.__call__": (top_k.__call__, {"logits": np.zeros(3), "u": 0.5}),
        "Vocabulary": (zoo.data.Vocabulary, {"symbols": "ab"}),
        "Vocabulary.encode": (vocabulary.encode, {"text": "ab", "on_unknown": "error"}),
        "Vocabulary.find": (vocabulary.find, {"text": "ab", "on_unknown": "error"}),
        "Vocabulary.decode": (vocabulary.decode, {"tokens": [0, 1]}),
        "Vocabulary.from_json": (vocabulary.from_json, {"obj": vocabulary.to_json()}),
        "Corpus.tokens_in": (corpus.tokens_in, {"vocabulary": vocabulary, "on_unknown": "error"}),
        "Decoder.push": (vocabulary.decoder().push, {"token": 0}),
        "Streams": (zoo.data.BpttBatches, {"tokens": corpus.tokens, "batch": 2, "seq": 3}),
        "Streams.window": (zoo.data.BpttBatches(corpus.tokens, 2, 3).window, {"index": 0}),
        "as_table": (zoo.data.as_table, {"data": {"a": [1.0, 2.0]}, "name": "table"}),
        "make_panel": (
            zoo.data.make_panel,
            {
                "table": zoo.data.as_table({"a": [1.0, 2.0]}),
                "roles": zoo.data.ColumnRoles(("a",)),
                "missing": "reject",
            },
        ),
        "read_table": (zoo.data.read_table, {"source": table_file}),
        "fit": (
            zoo.fit,
            {"data": {"a": np.sin(np.arange(99))}, "target": "a", "cell": "vanilla", "on_event": stop}
            | {"horizon": 2, "context": 4, "hidden": 2, "steps": 1, "threads": 1},
        ),
        "forecast": (zoo.forecast, {"run": folder, "data": None, "steps": None, "cell": None}),
        "predict": (zoo.predict, {"run": folder, "data": None, "cell": None}),
        "LabelledSequences.from_arrays": (
            zoo.data.LabelledSequences.from_arrays,
            {"inputs": np.ones((2, 3, 1)), "labels": ["a", "b"], "lengths": [3, 2], "ids": ["u", "v"]}
            | {"channels": ["x"], "name": "arrays", "label": "label"},
        ),
        "backtest": (
            zoo.backtest,
            {"run": folder, "data": None, "steps": None, "stride": None, "part": None, "cell": None},
        ),
        "fit_batch_shape": (zoo.data.fit_batch_shape, {"n_tokens": 9, "batch": 2, "seq": 3}),
        "parse_split": (zoo.data.parse_split, {"text": "90,5,5"}),
        "read_text": (
            zoo.data.read_text,
            {
                "sources": text,
                "level": "char",
                "glob": "*",
                "tokenizer": None,
                "min_count": 1,
                "max_vocab": None,
                "vocab_size": None,
                "token_dtype": None,
                "vocabulary": None,
                "on_unknown": "error",
            },
        ),
        "WordVocabulary": (zoo.data.WordVocabulary, {"symbols": words.symbols}),
        "WordVocabulary.encode": (words.encode, {"text": "ab", "on_unknown": "error"}),
        "TokenVocabulary": (zoo.data.TokenVocabulary, {"size": 3}),
        "TokenVocabulary.encode": (
            zoo.data.TokenVocabulary(3).encode,
            {"text": "0 1", "on_unknown": "error"},
        ),
        "split_words": (zoo.data.split_words, {"text": "a b"}),
        "vocabulary_from_json": (zoo.data.vocabulary_from_json, {"obj": words.to_json()}),
        "split": (zoo.data.split, {"tokens": corpus.tokens, "fractions": zoo.data.parse_split("90,5,5")}),
        "to_c": (
            zoo.export.to_c,
            {
                "model": language,
                "path": folder / "model.c",
                "name": None,
                "tokens": None,
                "weights": "float",
                "force": True,
            },
        ),
        "to_js": (
            zoo.export.to_js,
            {
                "model": language,
                "path": folder / "model.js",
                "tokens": None,
                "weights": "float",
                "force": True,
            },
        ),
        "to_html": (
            zoo.export.to_html,
            {
                "model": language,
                "path": folder / "model.html",
                "title": None,
                "example": None,
                "weights": "float",
                "force": True,
            },
        ),
        "int8_weights": (zoo.export.int8_weights, {"model": language, "tokens": None}),
        "to_onnx": (
            zoo.export.to_onnx,
            {
                "model": language,
                "path": folder / "model.onnx",
                "step": False,
                "raw": False,
                "tokens": None,
                "force": True,
            },
        ),
        "make_report": (zoo.report.make_report, {"path": folder, "cell": None, "symbols": 10}),
        "write_paper": (zoo.report.write_paper, {"path": folder, "directory": folder / "paper"}),
        "fixed_points": (
            zoo.analysis.fixed_points,
            {
                "model": rnn,
                "x": None,
                "layer": 0,
                "starts": 2,
                "inputs": None,
                "tolerance": 1e-9,
                "apart": 1e-4,
                "most_steps": 2,
                "seed": 0,
            },
        ),
        "gate_saturation": (
            zoo.analysis.gate_saturation,
            {"model": zoo.Recurrent("gru", I, H), "inputs": x, "state": None, "names": None, "margin": 0.1},
        ),
        "gate_traces": (
            zoo.analysis.gate_traces,
            {"model": zoo.Recurrent("gru", I, H), "inputs": x, "state": None},
        ),
        "gradient_by_lag": (
            zoo.analysis.gradient_by_lag,
            {"model": rnn, "inputs": x, "targets": None, "lags": 2, "state": None, "times": 1, "seed": 0},
        ),
        "jacobian": (zoo.analysis.jacobian, {"model": rnn, "inputs": x, "layer": 0, "state": None}),
        "jacobian_spectrum": (
            zoo.analysis.jacobian_spectrum,
            {"model": rnn, "inputs": x, "layer": 0, "state": None, "singular": False},
        ),
        "lyapunov_exponents": (
            zoo.analysis.lyapunov_exponents,
            {
                "model": rnn,
                "inputs": np.concatenate([x] * 3),
                "layer": 0,
                "count": 1,
                "state": None,
                "burn_in": 1,
                "seed": 0,
            },
        ),
        "power_spectrum_error": (
            zoo.analysis.power_spectrum_error,
            {"data": x[:, 0], "generated": x[:, 0], "smoothing": 1.0},
        ),
        "state_space_divergence": (
            zoo.analysis.state_space_divergence,
            {
                "data": x[:, 0],
                "generated": x[:, 0],
                "bins": 2,
                "bandwidth": 1.0,
                "samples": 2,
                "seed": 0,
            },
        ),
        "state_slices": (zoo.analysis.state_slices, {"model": rnn, "layer": 0}),
        "trace": (zoo.analysis.trace, {"model": rnn, "inputs": x, "names": True, "state": None}),
        "trace_grads": (
            zoo.analysis.trace_grads,
            {"model": rnn, "inputs": x, "targets": None, "names": True, "state": None},
        ),
        **{
            f"to_{kind}": (
                getattr(zoo.convert, f"to_{kind}"),
                {
                    "cell": "gru",
                    "params": zoo.Recurrent("gru", I, H).params,
                    **({"style": "linen"} if kind == "flax" else {}),
                },
            )
            for kind in ("flax", "keras", "torch")
        },
    }
    gru = zoo.Recurrent("gru", I, H).params
    results["from_torch"] = (
        zoo.convert.from_torch,
        {"cell": "gru", "state_dict": zoo.convert.to_torch("gru", gru)},
    )
    results["from_keras"] = (
        zoo.convert.from_keras,
        {"cell": "gru", "weights": zoo.convert.to_keras("gru", gru), "bidirectional": False},
    )
    results["from_flax"] = (
        zoo.convert.from_flax,
        {"cell": "gru", "params": zoo.convert.to_flax("gru", gru), "bidirectional": False},
    )
    shape, help = {"shape": ("I", "H")}, {"help": "words"}
    results |= {
        "Param": (zoo.Param, {**shape, "init": "zeros", **help, "complex": False}),
        "Buffer": (zoo.Buffer, {**shape, "init": "zeros", **help, "complex": False}),
        "State": (zoo.State, {"shape": ("H",), **help, "complex": False, "discrete": False}),
        "Input": (zoo.Input, {**shape, "default": 0.0, "low": 0.0, "high": 1.0, **help}),
        "Noise": (zoo.Noise, {**shape, "probability": 0.5, "scale": None, "per": "step", **help}),
        "StateSlot": (zoo.StateSlot, {"shape": ("P",), **help}),
        "Gates": (zoo.Gates, {"forget_gate": "z", "candidate": ""}),
        "Option": (zoo.Option, {"default": 1.0, **help}),
        "Option.check": (zoo.Option(1.0, low=0.0).check, {"value": 1.0, "owner": "cell 'a'"}),
        "Card": (zoo.Card, {"title": "A", "authors": "B", "year": 2026, "url": "https://example.org"}),
        "TaskRng": (zoo.TaskRng, {"words": ("a", 1)}),
        "Task.batch": (copying.batch, {"index": 0, "size": 2, "seed": 0, "part": "train"}),
        "Tracker.check": (zoo.get_tracker("jsonl").check, {}),
        "train": (
            zoo.train,
            {"data": text, "cell": "vanilla", "task": None, "out": None, "resume": False}
            | {"trackers": (), "cell_options": {}, "hidden": 2, "steps": 1, "split": "100", "threads": 1}
            | {"on_event": stop},
        ),
        "Config": (lambda **settings: make_config(settings), SETTINGS),
        "compare": (
            lambda **given: zoo.compare(
                "vanilla", "copying", seeds=1, hidden=2, steps=1, lr=0.1, jobs=0, **given
            ),
            {"out": None, "options": None, "on": None, "engine": Stopping(), "on_event": None}
            | {"reference": None},
        ),
        "draw_gates": (
            zoo.report.draw_gates,
            {"traces": {"f": x}, "sequence": 0, "symbols": None, "lines": {"x": x[:, 0, 0]}},
        ),
        "write_page": (zoo.report.write_page, {"report": EMPTY, "out": folder / "page.html"}),
        "write_figures": (
            zoo.report.write_figures,
            {"report": EMPTY, "directory": folder / "figures", "ending": "svg"},
        ),
    }
    return {name: Call(*each) for name, each in results.items()}

"""Texts for numbers, and for events of a run in all displays.

``start`` is the first event of a session, ``"start"`` or ``"resume"``, with its configuration.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.arguments import counted
from zoo.base.metric import metric_columns, metric_headings, metric_text
from zoo.base.tracker import Event
from zoo.tables import TextTable
from zoo.training.config import number_format
from zoo.training.schedules import depends_on_steps

_PREFIXES = ("", "k", "M", "G", "T")


def format_bytes(number: int) -> str:
    """Format a number of bytes: ``12.9 MB``, ``950 B``."""
    digits, prefix = _scaled(number)
    return f"{digits} {prefix}B"


def format_short(number: float) -> str:
    """Format a number with three digits and a letter: ``124k``, ``1.23M``, ``950``."""
    return "".join(_scaled(number))


def _scaled(number: float) -> tuple[str, str]:
    power = 0
    while number >= 999.5 and power < len(_PREFIXES) - 1:
        number, power = number / 1000, power + 1
    whole = power == 0 and number == int(number)
    decimals = 0 if whole or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{decimals}f}", _PREFIXES[power]


def clock(seconds: float) -> str:
    """Format seconds as a clock: ``0:41``, ``2:05:09``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Format seconds with a unit: ``4.2 s``, ``2:05 min``, ``2:05:09 h``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{clock(seconds)} {'h' if round(seconds) >= 3600 else 'min'}"


_REASONS = {"no improvement": "stopped early, without improvement,"}


def symbol_noun(start: Event) -> str:
    """Name of a token of a text: ``char``, ``byte``, ``word`` or ``token``."""
    level = str(start["text"].get("level", start["config"]["level"]))  # older logs have no level
    return {"tokenizer": "token"}.get(level, level)


def bits_unit(event: Event, start: Event) -> tuple[float, str]:
    """The bits of a loss and their unit: bits of a byte where a token has several."""
    if "bits_per_byte" in event:
        return event["bits_per_byte"], "bits/byte"
    return event["bits"], f"bits/{_kind(start).step(start)}"


def data_header(start: Event) -> dict[str, str]:
    """The lines about the data in the header of a run: text by heading."""
    lines = _kind(start).header(start)
    return {heading: text.replace("\n", "\\n") for heading, text in lines.items()}  # in names of columns


def header(start: Event) -> dict[str, str]:
    """The header of a run: text by heading."""
    return {
        **data_header(start),
        "model": _model(start),
        "train": _train(start),
        **_initial(start),
        **_trials(start),
        **_regularisation(start["config"]),
        "out": start["out"],
    }


def _regularisation(config: Mapping[str, Any]) -> dict[str, str]:
    """Constraints, penalties and parameter groups with all their options, by heading."""
    names = {"constraints": "constraints", "penalties": "penalties", "groups": "param_groups"}
    return {heading: "  ".join(config[name]) for heading, name in names.items() if config.get(name)}


def _text_header(start: Event) -> dict[str, str]:
    text, noun = start["text"], symbol_noun(start)
    kind = {"char": "characters"}.get(noun, f"{noun}s")
    different, digest = text["vocabulary"], text["sha256"][:12]
    unknown = f" ({text['unknown'] / text['symbols']:.1%} unknown)" if text.get("unknown") else ""
    symbols = f"{text['symbols']:,} {kind}{unknown}"
    read = f" ({text['validation_symbols']:,} at a time)" if "validation_symbols" in text else ""
    return {
        "text": f"{text['name']}: {symbols}, {different:,} different, sha256 {digest}",
        "split": f"{text['train']:,} to train, {text['valid']:,} to validate{read}, {text['test']:,} to test",
        **_note([f"{text['note']}." if "note" in text else ""]),
    }


def _task_header(start: Event) -> dict[str, str]:
    task = start["task"]
    options = ", ".join(f"{name}={value}" for name, value in task["options"].items())
    better = "higher" if task["higher_is_better"] else "lower"
    solved = "" if task["threshold"] is None else f", solved at {task['threshold']:g}"
    named = f"{task['name']}{f' ({options})' if options else ''}"
    baseline = f"{task['baseline']:.4g} without memory{solved}"
    return {
        "task": f"{named}: {task['inputs']} in, {task['outputs']} out",
        "score": f"{metric_text(task['metric'])}, {better} is better: {baseline}",
    }


def _table_header(start: Event) -> dict[str, str]:
    table, roles = start["table"], start["table"]["spec"]["roles"]
    series = f", {table['series']:,} series" if table["series"] > 1 else ""
    read = ", ".join([*roles["target"], *roles["input"]])
    known = f"; known in advance: {', '.join(roles['known_future'])}" if roles["known_future"] else ""
    left_out = _left_out(table["left_out"])
    sizes = table["spec"]
    season = f", a season of {sizes['season']:,}" if sizes["season"] > 1 else ""
    full = table.get("full_context")
    shortened = f" (shortened from {full:,}, since the table is short)" if full else ""
    linear = ", as corrections of a linear autoregression" if sizes.get("autoregression") else ""
    ahead = f"{counted(sizes['horizon'], 'step')} ahead from {sizes['context']:,}{shortened}{season}{linear}"
    return {
        "table": f"{table['name']}: {table['rows']:,} rows{series}, sha256 {table['sha256'][:12]}",
        **_times(start, table),
        "reads": f"{read}{known}{left_out}",
        "target": f"{', '.join(roles['target'])}, {ahead}",
        **_losses_and_weights(start.get("config", {})),  # a comparison has none
        "split": _split(table, "rows"),
        **_note([table.get("note", ""), *table.get("column_notes", ())]),
    }


def _times(start: Event, data: Mapping[str, Any]) -> dict[str, str]:
    """The share of uneven steps, and whether the cell reads the time between rows; older logs lack some."""
    if "dt" in start.get("aux", ()) and data.get("largest_dt", 0.0) is None:
        name = f"{start['cell']} reads 1 as the time between all rows"
        return {"times": f"none, so {name}; if a column holds times, give --time COLUMN"}
    if not data.get("uneven"):
        return {}
    reads = "only cells such as ctrnn, cfc, ltc and gru_ode read the time between rows"
    if "aux" in start:  # a comparison has several cells
        does = "reads" if "dt" in start["aux"] else "does not read"
        reads = f"{start['cell']} {does} the time between rows"
        reads += "" if "dt" in start["aux"] else ", as ctrnn, cfc, ltc and gru_ode do"
    return {"times": f"{data['uneven']:.1%} of the steps differ from {data['step']}; {reads}"}


def _note(sentences: Iterable[str]) -> dict[str, str]:
    """The notes about the data; older logs lack some."""
    text = " ".join(filter(None, sentences))
    return {"note": with_flags(text)} if text else {}


def _left_out(columns: Sequence[str]) -> str:
    """The columns of a table that are not read, with the reasons."""
    return with_flags(f"; left out: {', '.join(columns)}") if columns else ""


def _constant(data: Event) -> str:
    """The channels that are read although they hold no information; older logs lack them."""
    channels = data.get("constant", ())
    shown, more = ", ".join(channels[:_SHOWN_CLASSES]), " ..." if len(channels) > _SHOWN_CLASSES else ""
    return f"; constant in the training part: {shown}{more}" if channels else ""


def _losses_and_weights(config: Mapping[str, Any]) -> dict[str, str]:
    """The loss of each target, if they differ, and the column of the weights."""
    given, weight = str(config.get("loss")), config.get("weight")
    losses = {"loss": given.replace(",", ", ")} if "=" in given.partition(":")[0] else {}
    return losses | ({"weight": f"{weight}, which multiplies the loss"} if weight else {})


def _sequences_header(start: Event) -> dict[str, str]:
    data = start["sequences"]
    spec, (shortest, median, longest) = data["spec"], data["lengths"]
    steps = (
        f"{counted(longest, 'step')}{' each' if data['sequences'] > 1 else ''}"
        if shortest == longest
        else f"{shortest:,} to {longest:,} steps, median {median:,}"
    )
    left_out = _left_out(data["left_out"])
    counts = [f"{name} ({count:,})" for name, count in (data["classes"] or {}).items()]
    more = f" and {len(counts) - _SHOWN_CLASSES} more" if len(counts) > _SHOWN_CLASSES else ""
    classes = f"{len(counts)} classes: {', '.join(counts[:_SHOWN_CLASSES])}{more}" if counts else "a number"
    channels = spec["columns"]
    shown = ", ".join(channels[:_SHOWN_CLASSES])
    number = counted(data["sequences"], "sequence")
    return {
        "data": f"{data['name']}: {number} of {steps}, sha256 {data['sha256'][:12]}",
        **_times(start, data),
        "reads": f"{shown}{' ...' if len(channels) > _SHOWN_CLASSES else ''}{_constant(data)}{left_out}",
        "label": f"{spec['label']}{_of_steps(data)}, {classes}",
        **_losses_and_weights(start.get("config", {})),  # a comparison has none
        "split": _split_of_steps(data) or _split(data, "sequences"),
        **_note(data.get("column_notes", ())),
    }


def _batch_of_sequences(start: Event) -> str:
    config, steps = start["config"], start["sequences"].get("steps")
    if steps is None:
        return f"{config['batch']} sequences"
    return f"{counted(steps.get('streams', config['batch']), 'window')} of {counted(config['seq'], 'step')}"


def _of_steps(data: Event) -> str:
    """The number of steps with a label, if each step has one."""
    return f" of {data['steps']['labelled']:,} steps" if data.get("steps") else ""


def _split_of_steps(data: Event) -> str:
    """The parts of a single sequence, which is cut by time; empty for other data."""
    if not (data.get("steps") or {}).get("is_cut"):
        return ""
    train, valid, test = data["steps"]["parts"]
    return f"by time: the first {train:,} steps to train, then {valid:,} to validate, {test:,} to test"


def _split(data: Event, noun: str) -> str:
    """The sizes of the parts, and the numbers of groups in them."""
    (train, valid, test), groups = data["parts"], data.get("groups")
    if groups is None:
        return f"{train:,} {noun} to train, {valid:,} to validate, {test:,} to test"
    # Groups that are an array, and not a column, have no name.
    column = data["spec"].get("group") or data["spec"].get("roles", {}).get("group")
    return (
        f"{train:,} {noun} of {groups[0]:,} groups to train, {valid:,} of {groups[1]:,} to validate, "
        f"{test:,} of {groups[2]:,} to test{f', grouped by {column}' if column else ''}"
    )


_SHOWN_CLASSES = 12


def _model(start: Event) -> str:
    config = start["config"]
    options = [
        text
        for name, text in (("bidirectional", "both directions"), ("learned_state", "learned initial states"))
        if config.get(name)
    ]
    layers = f"{config['layers']} layer{'s' * (config['layers'] > 1)}"
    if config.get("embedding"):
        options.insert(0, f"{'tied ' * bool(config.get('tie'))}embedding of {config['embedding']}")
    sizes = [f"{config['hidden']} units", layers, *options, f"{start['parameters']:,} parameters"]
    return f"{start['cell']}: {', '.join([*sizes, number_format(config)])}"


def _train(start: Event) -> str:
    config = start["config"]
    lr = start.get("lr", config["lr"])  # older logs lack the default of the optimizer
    rate = "" if lr is None else f" at {lr:g}"
    if base := config.get("base_hidden"):  # logs of older versions lack it
        rate += f" for {base:,} units"
    schedule = "" if config["schedule"] == "constant" else f", {config['schedule']} schedule"
    steps = counted(config["steps"], "step")
    return (
        f"{config['optimizer']}{rate}{schedule}: {steps} of {_kind(start).batch(start)}, "
        f"{start['threads']} thread{'s' * (start['threads'] > 1)}"
    )


def _initial(start: Event) -> dict[str, str]:
    """The model that a new run starts from, by heading."""
    if (source := start.get("init_from")) is None:
        return {}
    step = "" if source["step"] is None else f", step {source['step']:,}"
    names = " and ".join(source["renamed"])
    renamed = f"; other names of {names}, matched by position" if names else ""
    return {"start": f"{source['run']}{step}, sha256 {source['sha256'][:12]}{renamed}"}


def _trials(start: Event) -> dict[str, str]:
    """The choice of the learning rate of an automatic run."""
    trials = start.get("trials")
    if not trials:
        return {}
    longest = max(trial["steps"] for trial in trials)
    rates = sorted(trial["lr"] for trial in trials if trial["steps"] == longest)
    updates = sum(trial["steps"] for trial in trials)
    return {
        "auto": f"lr {start['lr']:g} by trials of {', '.join(f'{rate:g}' for rate in rates)}, "
        f"{updates:,} updates in all"
    }


def decimal(number: float, decimals: int = 4) -> str:
    """Format a number with the given decimals, or with few significant digits if it is small or huge.

    >>> decimal(0.43214), decimal(1e-6), decimal(853677703926.8)
    ('0.4321', '1e-06', '8.537e+11')
    """
    if 0 < abs(number) < 10 ** (2 - decimals):
        return f"{number:.3g}"
    return f"{number:.4g}" if abs(number) >= _HUGE else f"{number:.{decimals}f}"


_HUGE = 1e6


def loss(event: Event, start: Event) -> str:
    """``loss 1.4321  2.066 bits/char``, or ``loss 0.4321  accuracy 0.912  solved``."""
    return "  ".join([f"loss {decimal(event['loss'])}", *_loss_details(event, start)])


def _loss_details(event: Event, start: Event) -> Iterator[str]:
    if "bits" in event:
        bits, unit = bits_unit(event, start)
        yield f"{decimal(bits, 3)} {unit}"
    if "score" in event:
        yield f"{metric_text(event['metric'])} {event['score']:.4g}"
        yield from ["solved"] * event["solved"]
    if "penalty" in event:
        yield f"penalty {decimal(event['penalty'])}"


def speed(event: Event, start: Event) -> str:
    """``1.23M chars/s``."""
    return f"{format_short(event['symbols_per_s'])} {_kind(start).step(start)}s/s"


def compiled(event: Event) -> str:
    """Compile time; empty if the kernels were loaded from the cache."""
    return f"compiled in {duration(event['seconds'])}; the next run loads it" if event["fresh"] else ""


def end_summary(event: Event, start: Event) -> str:
    """Why and at which step a run ended."""
    if event["reason"] == "finished" and start["event"] == "resume" and start["step"] == event["step"]:
        given, done = start["config"].get("steps"), f"nothing was left to do after step {event['step']:,}"
        if given is not None and given < event["step"]:
            return f"{done}; --steps is {given:,}, a larger number goes further"
        if depends_on_steps(start["config"]["schedule"], start["config"]["schedule_options"]):
            return f"{done}; the schedule depends on --steps, so the run cannot become longer"
        return f"{done}; --steps N goes further"
    reason = _REASONS.get(event["reason"], event["reason"])
    return f"{reason} at step {event['step']:,} after {duration(event['seconds'])}"


def best_loss(event: Event, start: Event) -> str:
    """The best loss of a run; of a text in nats and in bits."""
    if event["best"] is None:
        return "not validated yet"
    return f"{_kind(start).best(event, start)}, at step {event['best_step']:,}"


def _text_best(event: Event, start: Event) -> str:
    part = "validation" if start["text"]["valid"] > 1 else "training text"
    details = {"bits": event["best"] / math.log(2)}
    if sizes := start["text"].get("bytes_per_token"):
        details["bits_per_byte"] = details["bits"] / sizes["eval"]
    bits, unit = bits_unit(details, start)
    return f"{part} loss {decimal(event['best'])} nats, {decimal(bits, 3)} {unit}"


def _best(event: Event, start: Event) -> str:
    data = start.get("table") or start.get("sequences") or {"parts": (1, 1, 1)}  # a task has all
    part = "validation" if data["parts"][1] else "training"
    if (criterion := event.get("criterion")) is None:
        return f"{part} loss {decimal(event['best'])}"
    metric = start["config"]["metric"]
    return f"{part} {metric_text(metric)} {abs(criterion):.4g}"


def best_mark(start: Event) -> str:
    """The mark of the best validation, which has the lowest loss; the line also has another score."""
    is_by_loss = ("table" in start or "sequences" in start) and not start["config"].get("metric")
    return "best loss" if is_by_loss else "best"


def _undertrained(event: Event, start: Event) -> bool:
    """Whether the last of several validations was the best, with a rate that does not end at zero."""
    config, data = start["config"], start.get("table") or start.get("sequences")
    has_validation = data is not None and data["parts"][1] > 0
    is_last = event["reason"] == "finished" and event["best_step"] == event["step"]
    has_several = event["step"] > _FEW_VALIDATIONS * (config["eval_every"] or math.inf)
    return has_validation and is_last and has_several and config["schedule"] != "cosine"


_FEW_VALIDATIONS = 4
"""A shorter run is a trial."""


def _is_far_worse(event: Event) -> bool:
    """Whether the error of a target is far above those of all baselines, as after too large a learning rate.

    At the beginning, forecasts are near the last value or the mean, so training too short is no reason.
    """
    return any(
        metrics["model"]["mae"]["value"]
        > _FAR_WORSE * max(values["mae"]["value"] for name, values in metrics.items() if name != "model")
        for scores in event.get("test", {"targets": ()})["targets"]
        if "mae" in (metrics := scores["metrics"])["model"]
    )


_FAR_WORSE = 10


def with_flags(text: str) -> str:
    """A warning of a run, in which settings have their names in Python, with flags."""
    from zoo.cli.errors import name_flags
    from zoo.cli.train_flags import FLAGS

    return name_flags(text, {str(flag.name): flag.opts[-1] for flag in FLAGS})


def result(event: Event, start: Event, extra_flags: Sequence[str]) -> Iterator[str]:
    """The result of a run: why it ended, the best loss, an evaluation, and the next commands."""
    yield f"{end_summary(event, start)}; best: {best_loss(event, start)}"
    if "test" in event:
        yield from score_lines(event["test"])
    if _is_far_worse(event):
        yield f"all baselines are far better: change --lr (now {start['lr']:g})"
    elif _undertrained(event, start):
        yield "the last validation was the best: train longer (--resume with more --steps), or raise --lr"
    for verb, command in _kind(start).next_commands.items():
        data = ["--data", "FILE"] if _needs_data(command, start) else []
        yield f"{verb} with: {shlex.join(['zoo', command, start['out'], *data, *extra_flags])}"


def _needs_data(command: str, start: Event) -> bool:
    """Whether a command needs other data: standard input is gone, and a table may lack the known future."""
    known_future = start.get("table", {}).get("spec", {}).get("roles", {}).get("known_future")
    is_piped = tuple(start["config"]["data"] or ()) == ("-",)
    return (is_piped and command != "sample") or (command == "forecast" and bool(known_future))


def score_lines(test: Mapping[str, Any]) -> Iterator[str]:
    """The scores of a model and of the baselines on a part of the data, and a sentence for each target."""
    noun = "sequences" if "sequences" in test else "windows"
    for scores in test["targets"]:
        values = [value for metrics in scores["metrics"].values() for value in metrics.values()]
        intervals = ", 95 % intervals" if any(value["low"] is not None for value in values) else ""
        number = counted(test[noun], noun.removesuffix("s"))
        if "steps" in test:
            number = f"{counted(test['steps'], 'labelled step')} of {number}"
        part = f"all {number}" if test["part"] == "all" else f"{test['part']} part, {number}"
        yield f"{scores['target']}, {part}{intervals}:"
        names = metric_columns(scores["metrics"]["model"])
        rows = tuple(
            (name, *(_estimate(values[metric]) if metric in values else "" for metric in names))
            for name, values in scores["metrics"].items()
        )
        headings = ("", *metric_headings(names, scores.get("positive")))
        for block in TextTable("", headings, rows).blocks(_SCORES_WIDTH):
            yield from (f"  {line}" for line in block.lines())
    if test["part"] == "train":
        yield ("note: the model and the baselines were fitted to this part, so new data have other errors")
    if "note" in test:
        yield f"note: {with_flags(test['note'])}"
    yield from (scores["summary"] for scores in test["targets"])


_SCORES_WIDTH = 118
"""Largest width of a table of scores in characters."""


def _estimate(estimate: Event) -> str:
    if estimate["low"] is None:
        return f"{estimate['value']:.4g}"
    return f"{estimate['value']:.4g} [{estimate['low']:.4g}, {estimate['high']:.4g}]"


@dataclass(frozen=True)
class _Kind:
    """The texts that depend on the data of a run.

    Attributes:
        step: Name of the input of one time step: ``char`` or ``byte`` of a text.
        header: The lines about the data in the header of a run.
        batch: A batch, from the first event.
        best: The best loss, from the last event.
        next_commands: Verbs and commands that continue from the run.
    """

    step: Callable[[Event], str]
    header: Callable[[Event], dict[str, str]]
    batch: Callable[[Event], str]
    best: Callable[[Event, Event], str]
    next_commands: dict[str, str]


_KINDS = {
    "text": _Kind(
        symbol_noun,
        _text_header,
        lambda start: f"{start['config']['batch']} × {start['config']['seq']} symbols",
        _text_best,
        {"sample": "sample"},
    ),
    "task": _Kind(
        lambda start: "input",  # noqa: ARG005 - as that of a text
        _task_header,
        lambda start: f"{start['config']['batch']} sequences",
        _best,
        {"evaluate": "eval"},
    ),
    "table": _Kind(
        lambda start: "row",  # noqa: ARG005 - as that of a text
        _table_header,
        lambda start: f"{start['config']['batch']} windows of {start['config']['context']} rows",
        _best,
        {"forecast": "forecast", "evaluate": "eval"},
    ),
    "sequences": _Kind(
        lambda start: "step",  # noqa: ARG005 - as that of a text
        _sequences_header,
        _batch_of_sequences,
        _best,
        {"predict": "predict", "evaluate": "eval"},
    ),
}


def _kind(start: Event) -> _Kind:
    return next(kind for name, kind in _KINDS.items() if name in start)

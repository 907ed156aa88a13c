"""Files of a comparison for a paper: a paragraph on the methods, the tables and the references.

The paragraph contains what another group needs to repeat the comparison. All of it comes from the stored
results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo
from zoo.arguments import as_path, counted
from zoo.base import Block, Cell, Component, Constraint, Modifier, Optimizer, Penalty, Task
from zoo.base.block import PLACEMENT_OPTIONS
from zoo.base.card import Card, bibtex_entry, bibtex_key, split_authors, surname, unique_entries
from zoo.base.metric import metric_text
from zoo.comparison.model_info import layer_options
from zoo.comparison.number_text import enumerate_texts
from zoo.comparison.paper_files import is_replaceable, write_with_command
from zoo.comparison.plan import TOLERANCE, Sizes, read_sizes
from zoo.comparison.rank_sentences import Citation, rank_methods, rank_sources
from zoo.comparison.results import Comparison
from zoo.comparison.sweep import groups_with_verdict
from zoo.comparison.table_notes import customary_cells, unfinished_sentences
from zoo.data import parse_split
from zoo.errors import CheckpointError, UsageError
from zoo.installation import YEAR, citation
from zoo.registry import is_stack, layer_names, registry_of, split_name
from zoo.storage import RunDirectory
from zoo.storage.safe_read import cannot_write
from zoo.tables import escape_latex
from zoo.training.config import number_format

FILES = "methods.tex", "tables.tex", "references.bib"

# Of the private area of Unicode, so that no name contains them.
_CITE_BEGIN, _CITE_END = "\ue000", "\ue001"

Reference = Callable[[type[Component], str], str]
"""From the base class and the name of a component to the name with its reference."""


def methods_text(results: Comparison) -> str:
    """The paragraph on the methods as plain text, with references such as ``gru (Cho et al. 2014)``."""
    components = _components(results)

    def reference(base: type[Component], name: str) -> str:
        component = components.get((base, name))
        if component is None or not _papers(component):
            return name
        papers = ", ".join(map(_author_year, _papers(component)))
        return f"{name} ({papers if component.card.published else f'based on {papers}'})"

    sentences = _sentences(results, reference, "zoo", lambda card: f" ({_author_year(card)})")
    return " ".join(sentences)


def methods_latex(results: Comparison) -> str:
    r"""The paragraph on the methods in LaTeX, with ``\cite`` of the entries of :func:`references`."""
    components = _components(results)

    def reference(base: type[Component], name: str) -> str:
        component = components.get((base, name))
        if component is None or not _papers(component):
            return name
        keys = (bibtex_key(card, name) for card in _papers(component))
        cited = f"{_CITE_BEGIN}{','.join(keys)}{_CITE_END}"
        return f"{name}{cited}" if component.card.published else f"{name} (based on{cited})"

    package = f"zoo{_CITE_BEGIN}zoo{YEAR}{_CITE_END}"

    def cite(card: Card) -> str:
        return f"{_CITE_BEGIN}{bibtex_key(card, '')}{_CITE_END}"

    text = " ".join(_sentences(results, reference, package, cite))
    parts = re.split(f"{_CITE_BEGIN}(.*?){_CITE_END}", text)
    parts[::2] = map(escape_latex, parts[::2])
    parts[1::2] = [f"~\\cite{{{key}}}" for key in parts[1::2]]
    return "".join(parts)


def references(results: Comparison) -> str:
    """BibTeX entries of the components of a comparison, of the methods for mean ranks, and of zoo."""
    components = _components(results).items()
    entries = unique_entries(
        bibtex_entry(card, name) for (_, name), component in components for card in _papers(component)
    )
    entries += [bibtex_entry(card, "") for card in rank_sources(results)]
    return "\n\n".join([*entries, citation(zoo.__version__)])


def write_paper(path: str | Path, directory: str | Path) -> list[Path]:
    """Write ``methods.tex``, ``tables.tex`` and ``references.bib`` of a comparison.

    Args:
        path: The directory of the comparison.
        directory: The directory of the files, created if it is missing.

    Returns:
        The files.

    Raises:
        UsageError: if one of the files exists and zoo did not write it.
        CheckpointError: if the results are missing or damaged, or a file cannot be written.
    """
    results = Comparison(as_path(path, "write_paper: path"))
    folder = as_path(directory, "write_paper: directory")
    files = [folder / name for name in FILES]
    if foreign := [file for file in files if not is_replaceable(file)]:
        raise UsageError(
            f"{foreign[0]} was not written by zoo, and would be overwritten; give another directory, and "
            f"read its files from yours with \\input."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    texts = methods_latex(results), results.table("latex"), references(results)
    for file, text in zip(files, texts, strict=True):
        write_with_command(results, file, text)
    return files


def _papers(component: type[Component]) -> list[Card]:
    """The papers to cite for a component."""
    return [card for card in (component.card, *component.card.also) if card.published]


def _author_year(card: Card) -> str:
    surnames = [surname(author) for author in split_authors(card.authors)]
    if len(surnames) > 2 or surnames[-1] == "others":
        return f"{surnames[0]} et al. {card.year}"
    return f"{' and '.join(surnames)} {card.year}"


def _components(results: Comparison) -> dict[tuple[type[Component], str], type[Component]]:
    """The components of a comparison that are registered, by base class and name."""
    settings = _settings(results)
    named: list[tuple[type[Component], str]] = [
        *(part for entry in _entries(results, "cells") for part in _cell_parts(entry["name"])),
        *((Task, entry["name"]) for entry in _entries(results, "tasks") if "data" not in entry),
        (Optimizer, settings["optimizer"]),
        *((Constraint, name) for name in _assigned_names(settings.get("constraints", ()))),
        *((Penalty, name) for name in _assigned_names(settings.get("penalties", ()))),
    ]
    return {(base, name): registry_of(base).cls(name) for base, name in named if name in registry_of(base)}


def _settings(results: Comparison) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = results.plan["settings"]
    return settings


def _entries(results: Comparison, name: str) -> list[dict[str, Any]]:
    return list(results.plan[name])


def _cell_parts(name: str) -> list[tuple[type[Component], str]]:
    """The cell, the modifiers and the block of a name such as ``prenorm(lstm+zoneout)``, of all layers."""
    parts: list[tuple[type[Component], str]] = []
    for block, cell, modifiers in map(split_name, layer_names(name)):
        blocks = [(Block, block)] if block else []
        parts += [(Cell, cell), *((Modifier, modifier) for modifier in modifiers), *blocks]
    return parts


def _assigned_names(assignments: Sequence[str]) -> list[str]:
    """The names of the components in assignments such as ``Wh=dale:excitatory=0.8``."""
    return [text.partition("=")[2].partition(":")[0] for text in assignments]


def _sentences(results: Comparison, reference: Reference, package: str, cite: Citation) -> Iterator[str]:
    cells = [_cell_text(entry, reference) for entry in _entries(results, "cells")]
    tasks = [_task_text(entry, reference) for entry in _entries(results, "tasks")]
    version = results.section("versions")["zoo"]
    yield f"We used {package} {version} to compare {enumerate_texts(cells)} on {enumerate_texts(tasks)}."
    yield from _data_sentences(results)
    yield from _customary_sentences(results)
    yield from _scope_sentences(results)
    yield _size_sentence(results)
    yield _training_sentence(results, reference)
    yield from _sweep_sentences(results)
    yield from _score_sentences(results, cite)
    host, versions = results.section("machine"), dict(results.section("versions"))
    packages = enumerate_texts([f"{name} {number}" for name, number in versions.items() if name != "zoo"])
    yield f"All runs were computed on {host['processor']} with {packages}."


def _cell_text(entry: Mapping[str, Any], reference: Reference) -> str:
    """``gru (Cho et al. 2014)``, or ``lstm1 (lstm with forget_bias=1)``; the different layers of a stack."""
    name, options = entry["name"], entry["options"]
    if not is_stack(name):
        text = _layer_text(name, options, reference)
        return text if entry["label"] == name else f"{entry['label']} ({text})"
    names = layer_names(name)
    layers = zip(names, layer_options(options, len(names)), strict=True)
    texts = dict.fromkeys(_layer_text(*layer, reference) for layer in layers)
    return f"{entry['label']} (the layers {name}, from first to last, of {enumerate_texts([*texts])})"


def _layer_text(name: str, options: Mapping[str, Any], reference: Reference) -> str:
    cell, *others = _cell_parts(name)
    modifiers = [reference(*part) for part in others if part[0] is Modifier]
    blocks = "".join(f" in the block {reference(*part)}" for part in others if part[0] is Block)
    chosen = {name: value for name, value in options.items() if name not in PLACEMENT_OPTIONS}
    changes = [*modifiers, *_options(chosen)]
    return reference(*cell) + (f" with {enumerate_texts(changes)}" if changes else "") + blocks


def _task_text(entry: Mapping[str, Any], reference: Reference) -> str:
    if "data" in entry:
        return f"the data set {entry['label']}"
    name, options = reference(Task, entry["name"]), _options(entry["options"])
    text = f"the task {name}{' with ' if options else ''}{enumerate_texts(options)}"
    return text if entry["label"] == entry["name"] else f"{text} ({entry['label']})"


def _data_sentences(results: Comparison) -> Iterator[str]:
    """The parts of each data set, and its inputs and targets."""
    for entry in _entries(results, "tasks"):
        config = _run_config(results, entry["label"])
        if "data" not in entry or not config:
            continue
        is_table = config["kind"] == "table"
        noun = "groups" if config["group"] else "rows" if is_table else "sequences"
        places = ("the first ", "the next ", "the last ") if noun == "rows" else ("", "", "")
        uses = "were for training", "for validation", "for the test"
        shares = zip(places, parse_split(config["split"]), uses, strict=True)
        parts = [f"{place}{share:.0%} {use}" for place, share, use in shares if share]
        if noun == "rows" and config["series"]:
            noun = "rows of each series"
        drawn = "" if is_table and not config["group"] else ", drawn at random"
        yield f"Of the {noun} of {entry['label']}, {enumerate_texts(parts)}{drawn}."
        yield _forecast_sentence(config) if is_table else _label_sentence(config)
        if text := _MISSING.get((config["kind"], config["missing"])):
            yield text
        readers = _cells_that_read_time(results)
        if config["time"] and readers:
            verb = "reads" if len(readers) == 1 else "read"
            yield f"{enumerate_texts(readers)} {verb} the time between rows, in units of its median."


_PREDICTED = {
    "change": "as changes from the last value",
    "level": "as levels",
    "correction": "as corrections of a linear autoregression",
}
_MISSING = {
    ("table", "forward"): "Missing values were replaced by the value before.",
    ("table", "mask"): "Missing values were replaced by the value before and marked by an additional input, "
    "and missing targets were left out of the loss.",
    ("sequences", "forward"): "Missing values were replaced by the value before.",
    ("sequences", "mask"): "Missing values were replaced by the mean and marked by an additional input.",
}
"""The treatment of missing values by the kind of the data and the setting."""


def _cells_that_read_time(results: Comparison) -> list[str]:
    """The labels of the cells with a layer that reads the time between rows, of those that are registered."""
    components = _components(results)
    return [
        entry["label"]
        for entry in _entries(results, "cells")
        if any(
            "dt" in component.inputs
            for part in _cell_parts(entry["name"])
            if (component := components.get(part)) is not None and issubclass(component, Cell)
        )
    ]


def _forecast_sentence(config: Mapping[str, Any]) -> str:
    targets, known = config["target"], config["known_future"]
    future = f", with the future values of {enumerate_texts(known)}" if known else ""
    return (
        f"The models read {counted(config['context'], 'row')} of "
        f"{enumerate_texts([*targets, *config['input'], *known])} and forecast "
        f"{counted(config['horizon'], 'row')} of {enumerate_texts(targets)}{future}, "
        f"{_PREDICTED[config['predict']]}, with the loss {_loss(config)}."
    )


def _label_sentence(config: Mapping[str, Any]) -> str:
    return (
        f"The models predicted {config['label'] or 'the label'} from {enumerate_texts(config['input'])} "
        f"{_LABELLED[config['pooling']]}, with the loss {_loss(config)}."
    )


_LABELLED = {
    "last": "by the outputs after the last step",
    "mean": "by the mean over all steps",
    "none": "at every step",
}


def _loss(config: Mapping[str, Any]) -> str:
    options = ", ".join(_options(config["loss_options"]))
    weights = config["class_weights"]
    if isinstance(weights, Mapping):
        weights = f"class weights {', '.join(_options(weights))}"
    elif weights:
        weights = "balanced class weights"
    of_loss = f"{config['loss']}{f' ({options})' if options else ''}"
    return enumerate_texts([of_loss, weights] if weights else [of_loss])


def _options(options: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]


def _customary_sentences(results: Comparison) -> Iterator[str]:
    """The cells with customary values of options, which are not the defaults of zoo."""
    for option, cells in customary_cells(results).items():
        yield f"For {enumerate_texts(cells)}, we used the customary {option} in place of the default of zoo."


def _scope_sentences(results: Comparison) -> Iterator[str]:
    """The cells without a block: bare recurrences, and mixers, which have projections of their own."""
    in_blocks = {
        entry["label"]
        for entry in _entries(results, "cells")
        if any(split_name(name).block for name in layer_names(entry["name"]))
    }
    bare, mixers = (
        [cell for cell in results.cells if results.scope(cell) == scope and cell not in in_blocks]
        for scope in _SCOPE_TEXTS
    )
    for cells, text in zip((bare, mixers), _SCOPE_TEXTS.values(), strict=True):
        if cells:
            noun, verb = ("The cell", "was") if len(cells) == 1 else ("The cells", "were")
            yield text.format(noun, enumerate_texts(cells), verb)


_SCOPE_TEXTS = {
    "recurrence": "{} {} {} used without a block, which would add a norm, projections or a residual "
    "connection around the recurrence.",
    "mixer": "{} {} {} used with the projections, gates and norms of the mixer, and without a block around "
    "it.",
}


def _size_sentence(results: Comparison) -> str:
    settings = _settings(results)
    sizes = read_sizes(results.plan["size"])
    layers = counted(settings["layers"], "bidirectional layer" if settings.get("bidirectional") else "layer")
    residual = ", with residual connections" if settings.get("residual") else ""
    learned = ", learned initial states" if settings.get("learned_state") else ""
    embedding = _embedding(results)
    if sizes.kind == "hidden":
        numbers = enumerate_texts([f"{number:,}" for number in sorted(sizes.numbers)], "or")
        layers += f" of {numbers} hidden units"
        return f"Every model had {layers}{residual}{learned}{embedding}, and a linear readout."
    return (
        f"Every model had {layers}{residual}{learned}{embedding}, a linear readout, and the number of hidden "
        f"units at which all parameters together are closest to {_budgets(sizes)}"
        f"{_largest_difference(results)}."
    )


def _budgets(sizes: Sizes) -> str:
    """``4,000``, or ``one of the budgets 1,000 and 4,000``."""
    numbers = enumerate_texts([f"{number:,}" for number in sorted(sizes.numbers)])
    return numbers if len(sizes.numbers) == 1 else f"one of the budgets {numbers}"


def _embedding(results: Comparison) -> str:
    """The size of the embedding, and what has a vector."""
    size = _settings(results).get("embedding")  # plans of older versions lack it
    if size is None:
        return ""
    is_data = ["data" in entry for entry in _entries(results, "tasks")]
    kinds = ["token"] * (not all(is_data)) + ["value of a column of texts"] * any(is_data)
    return f", a trained vector of {size:,} numbers for each {' or '.join(kinds)} of the input"


def _largest_difference(results: Comparison) -> str:
    """The largest difference from a budget, if it is above the tolerance."""
    largest = max(abs(run.parameters - run.group.size) / run.group.size for run in results.runs)
    return f" (within {TOLERANCE:.0%})" if largest <= TOLERANCE else f" (within {largest:.0%})"


def _training_sentence(results: Comparison, reference: Reference) -> str:
    settings = _settings(results)
    options = _options(settings.get("optimizer_options", {}))
    optimizer = reference(Optimizer, settings["optimizer"]) + (f" ({', '.join(options)})" if options else "")
    ((kind, number),) = results.plan["length"].items()
    length = (
        f"{number:,} updates"
        if kind == "steps"
        else f"as many updates as take {number:g} seconds on one thread"
    )
    rules = [
        f"{name.replace('param_groups', 'parameter groups')} {enumerate_texts(settings[name])}"
        for name in ("constraints", "penalties", "param_groups")
        if settings.get(name)
    ]
    base = settings.get("base_hidden")  # plans of older versions lack it
    gradient = settings.get("gradient", "bptt")  # plans of older versions lack it
    parts = [
        f"batches of {_batches(results)} examples",
        *([] if gradient == "bptt" else [f"gradients across batches by {gradient.upper()}"]),
        _schedule(settings),
        *([f"matrices with inputs from H hidden units at {base:,} / H of it"] if base else []),
        f"gradients clipped to a norm of {settings['clip']:g}"
        if settings["clip"]
        else "no clipping of gradients",
        *(
            [f"values of gradients clipped to {settings['clip_value']:g}"]
            if settings.get("clip_value")
            else []
        ),
        *rules,
    ]
    return f"We trained in {number_format(settings)} for {length} with {optimizer}, {enumerate_texts(parts)}."


def _schedule(settings: Mapping[str, Any]) -> str:
    options = dict(settings.get("schedule_options", {}))
    warmup = options.pop("warmup", 0)
    share = f"{warmup:.0%} of the updates" if 0 < warmup < 1 else f"{warmup:,} updates"
    names = {
        "cosine": "decays along half a cosine",
        "step": "decays in steps",
        "plateau": "decays on plateaus",
    }
    phrase = names.get(settings["schedule"], f"is {settings['schedule']}")
    details = f" ({', '.join(_options(options))})" if options else ""
    return f"a learning rate that {phrase}{details}{f' after a warm-up over {share}' if warmup else ''}"


def _batches(results: Comparison) -> str:
    """The batch size, or that of each task if they differ."""
    sizes = {task: _batch(results, task) for task in results.tasks}
    if len(set(sizes.values())) == 1:
        return str(next(iter(sizes.values())))
    return enumerate_texts([f"{size} ({task})" for task, size in sizes.items()])


def _batch(results: Comparison, task: str) -> int | str:
    """The batch size of the first run of a task, which may have been deleted."""
    if batch := _settings(results)["batch"]:
        return int(batch)
    config = _run_config(results, task)
    return json.dumps(config["batch"]) if config else "the default number of"


def _run_config(results: Comparison, task: str) -> Mapping[str, Any]:
    """The configuration of the first run of a task; empty if it was deleted."""
    try:
        return RunDirectory(results.path / results.runs_of(task)[0].path).read_config()
    except CheckpointError:
        return {}


def _sweep_sentences(results: Comparison) -> Iterator[str]:
    rates = [f"{rate:g}" for rate in results.plan["rates"]]
    if len(rates) == 1:
        yield f"The learning rate was {rates[0]} for all cells."
        return
    steps = results.plan["sweep_steps"]
    length = f"{steps:,} updates" if steps else "a fifth of the updates"
    scope = "cell, task and size" if results.has_several_sizes else "cell and task"
    yield (
        f"For each {scope} we chose the learning rate from {enumerate_texts(rates)} by the validation loss "
        f"of one run of {length} with another seed."
    )
    if rounds := results.plan.get("sweep_rounds"):
        yield (
            f"In up to {counted(rounds, 'further round')} these runs became twice as long while none was "
            f"better than the memoryless baseline, and a rate was added while the best one was at the edge "
            f"of the grid."
        )
    if len({run.seed for run in results.sweep}) > 1:
        yield (
            "The run at the chosen rate was repeated with another seed. A rate counted by its worse run, and "
            "the next rate was chosen if that was better."
        )
    undecided = {
        "edge": "The best rate was at the edge of the grid for {}.",
        "plateau": "No rate was clearly better than the memoryless baseline for {}, so that their rates may "
        "be chosen by chance.",
    }
    for verdict, sentence in undecided.items():
        if groups := groups_with_verdict(results, verdict):
            yield sentence.format(enumerate_texts(groups))


def _score_sentences(results: Comparison, cite: Citation) -> Iterator[str]:
    seeds = results.plan["seeds"]
    interval = ", with 95 % Student intervals of the mean" if seeds > 2 else ""
    over = f", as means over {seeds:,} seeds{interval}" if seeds > 1 else " for one seed"
    yield f"We report test scores of the checkpoint with the best validation{over}."
    settings = _settings(results)
    if any("data" not in entry for entry in _entries(results, "tasks")):
        yield f"A validation on a task had {counted(settings['eval_batches'], 'batch', 'batches')}."
    if settings.get("stop_when_solved"):
        yield "A run ended at the first validation that solved its task."
    if seeds > 1:
        yield "Learning curves are means over the seeds, with a band from the lowest to the highest seed."
    for task in results.tasks:
        if (threshold := results.threshold(task)) is not None:
            info = results.section("tasks")[task]
            limit = "at least" if info["higher_is_better"] else "at most"
            metric = metric_text(str(info["metric"]))
            yield f"A run solves {task} with a test score ({metric}) of {limit} {threshold:g}."
    if seeds > 1 and len(results.cells) > 1:
        reference = results.reference
        called = f"better or worse than {reference}" if reference else "worse than the best one"
        yield (
            f"A cell is called clearly {called} if the 95 % Student interval of the paired differences over "
            f"the seeds{' at one size' * results.has_several_sizes} excludes zero."
        )
    yield from rank_methods(results, cite)
    yield from unfinished_sentences(results, results.tasks)

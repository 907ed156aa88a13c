"""The parameters of a trained model, from which another run starts: ``init_from``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.data import Corpus, Vocabulary, vocabulary_from_json
from zoo.data.corpus import CODE_LEVELS
from zoo.data.vocabulary import list_symbols
from zoo.errors import CheckpointError, DataError, UsageError, warn_caller
from zoo.layers.parameters import array_shapes, strip_prefixes
from zoo.model import AnyModel, LanguageModel
from zoo.model.checkpoint import read_run
from zoo.storage import Checkpoint, RunDirectory, expect
from zoo.storage.checkpoint import digest
from zoo.training.config import Config
from zoo.training.dataset import RunDataset

if TYPE_CHECKING:
    from zoo.classification.spec import SequenceSpec
    from zoo.forecasting.spec import ForecastSpec

_SETTINGS = {
    "hidden_size": "hidden",
    "num_layers": "layers",
    "bidirectional": "bidirectional",
    "learned_state": "learned_state",
    "residual": "residual",
    "embedding": "embedding",
    "tie": "tie",
    "input_size": "inputs",
    "output_size": "outputs",
    "categories": "categories",
}
"""Entries of the metadata of a model that must be equal, and their names in errors."""


class Encoding(NamedTuple):
    """The positions of symbols and of text values in a trained model, which new data take.

    Attributes:
        vocabulary: The vocabulary of a language model.
        categories: The values of each input that is a category.
    """

    vocabulary: Vocabulary | None = None
    categories: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True)
class InitialParameters:
    """The parameters and the encoding of a trained model.

    Args:
        checkpoint: The checkpoint of the model.
        source: Its path.
    """

    checkpoint: Checkpoint
    source: str

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The vocabulary of a language model; None for another model.

        Raises:
            CheckpointError: if the checkpoint does not hold one.
        """
        if self.checkpoint.meta.get("kind") != LanguageModel.kind:
            return None
        try:
            return vocabulary_from_json(self._model["vocabulary"])
        except (KeyError, DataError) as error:
            raise CheckpointError(f"{self.source}: its vocabulary is not one zoo wrote ({error}).") from None

    @property
    def encoding(self) -> Encoding:
        """The vocabulary, and the values of categories.

        Raises:
            CheckpointError: if the checkpoint holds damaged ones.
        """
        spec = _spec(self.checkpoint.meta, self.source)
        return Encoding(self.vocabulary, {} if spec is None else spec.categories)

    @property
    def _model(self) -> dict[str, Any]:
        """The metadata of the model."""
        model = self.checkpoint.meta.get("model")
        return model if isinstance(model, dict) else {}

    def describe(self, dataset: RunDataset, model: AnyModel) -> dict[str, Any]:
        """The path, the step and the digest of the checkpoint, and which names differ, for the log.

        Args:
            dataset: The data of the new run.
            model: Its model, which has the parameters.

        Raises:
            CheckpointError: if a name has another position in the new run.
        """
        training = self.checkpoint.meta.get("training")
        step = training.get("step") if isinstance(training, dict) else None
        renamed = self._renamed(dataset, model)
        return {"run": self.source, "step": step, "sha256": digest(self.checkpoint), "renamed": renamed}

    def _renamed(self, dataset: RunDataset, model: AnyModel) -> list[str]:
        """``symbols``, ``inputs`` or ``outputs``, if their names differ at the same positions."""
        names_then = _position_names(self.vocabulary, self.checkpoint.meta, model, self.source)
        vocabulary = model.vocab if isinstance(model, LanguageModel) else None
        names_now = _position_names(vocabulary, {dataset.kind: dataset.metadata()}, model, dataset.name)
        renamed = []
        for noun in (noun for noun in names_now if noun in names_then):
            then, now = names_then[noun], names_now[noun]
            positions = {name: number for number, name in enumerate(then, 1)}
            for number, name in enumerate(now, 1):
                if positions.get(name, number) != number:
                    raise CheckpointError(
                        f"this run cannot start from {self.source}: {name!r} is {noun} {positions[name]} of "
                        f"that model, and {noun} {number} of this run ({list_symbols(then)} -> "
                        f"{list_symbols(now)}); give the same order, or leave out `init_from`."
                    )
            if then != now:
                renamed.append(f"{noun}s")
        return renamed

    def fill(self, model: AnyModel) -> None:
        """Copy parameters and buffers into a model of the same cell and sizes, in its dtype.

        Raises:
            CheckpointError: if the model differs, or the arrays do not fit it.
        """
        kind = self.checkpoint.meta.get("kind")
        if kind != model.kind:
            raise CheckpointError(
                f"{self.source} holds a {str(kind)[:40]}, and this run trains a {model.kind}; give a run on "
                f"data of the same kind."
            )
        try:
            differences = [
                f"{name}: {then} -> {now}" for name, then, now in self._differences(model) if then != now
            ]
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.source}: its description of the model is not one zoo wrote ({str(error)[:200]})."
            ) from None
        if differences:
            raise CheckpointError(
                f"this run cannot start from {self.source}, a model with other settings "
                f"({'; '.join(differences)}); give the settings of that model, or leave out `init_from`."
            )
        shapes = array_shapes(model.layout.shapes, model.stack.buffer_shapes)
        stored = {name: array for name, array in self.checkpoint.arrays.items() if name in shapes}
        arrays = {name: array.astype(model.dtype, copy=False) for name, array in stored.items()}
        expected = {name: (shape, model.dtype) for name, shape in shapes.items()}
        expect(Checkpoint(arrays, {}), expected, source=self.source)
        model.fill(strip_prefixes(arrays))

    def _differences(self, model: AnyModel) -> Iterator[tuple[str, Any, Any]]:
        """Name, value in the checkpoint and value in a model of each setting that must be equal."""
        then, now = self._model, model.metadata()
        cells_then, cells_now = (_cells(each["cell"]) for each in (then, now))
        yield "cell", _names(cells_then), _names(cells_now)
        if len(cells_then) == len(cells_now):
            for before, after in zip(cells_then, cells_now, strict=True):
                yield f"options of {after['name']}", before["options"], after["options"]
                if before["name"] == after["name"] and before["source"] != after["source"]:
                    warn_caller(
                        f"{self.source}: cell {after['name']!r} has changed since this model was made; it "
                        f"may compute something else."
                    )
        for key, name in _SETTINGS.items():
            yield name, then.get(key), now.get(key)


def _position_names(
    vocabulary: Vocabulary | None, meta: Mapping[str, Any], model: AnyModel, source: str
) -> dict[str, Sequence[Any]]:
    """The names of symbols, or of inputs and outputs, in the order of their positions.

    Args:
        vocabulary: The vocabulary, if there is one.
        meta: The metadata of a checkpoint.
        model: A model of the sizes of the checkpoint.
        source: Name of the checkpoint, for messages.

    Raises:
        CheckpointError: if the description of the data is damaged.
    """
    if vocabulary is not None:
        return {"symbol": vocabulary.symbols}
    spec = _spec(meta, source)
    if spec is None:
        return {}
    if (spec.input_size, spec.output_size) != (model.input_size, model.output_size):
        raise CheckpointError(f"{source}: its description of the data does not fit its model.")
    return {"input": spec.input_names, "output": spec.output_names}


def _spec(meta: Mapping[str, Any], source: str) -> ForecastSpec | SequenceSpec | None:
    """The inputs and outputs in the metadata of a checkpoint of a table or of labelled sequences."""
    if isinstance(stored := meta.get("table"), Mapping):
        from zoo.forecasting.spec import ForecastSpec

        return ForecastSpec.from_json(stored.get("spec"), source)
    if isinstance(stored := meta.get("sequences"), Mapping):
        from zoo.classification.spec import SequenceSpec

        return SequenceSpec.from_json(stored.get("spec"), source)
    return None


def _cells(metadata: Any) -> list[Any]:
    """The metadata of the cell of each layer, or of all in one."""
    return metadata if isinstance(metadata, list) else [metadata]


def _names(cells: list[Any]) -> str:
    """The names of cells as one text, ``lstm,gru``."""
    return ",".join(str(cell["name"]) for cell in cells)


def open_initial(
    init_from: str | None, resumed: str | Path | None
) -> tuple[Encoding, InitialParameters | None]:
    """The encoding of the model that a run starts from, and its parameters.

    A run that has a checkpoint needs its own encoding and no parameters: `init_from` may be gone.

    Args:
        init_from: A run directory, or a ``.safetensors`` file; None for neither.
        resumed: The directory of the run, if it is resumed.

    Raises:
        UsageError: if nothing is there.
        CheckpointError: if it holds no model, or is damaged.
    """
    if init_from is None:
        return Encoding(), None
    own = None if resumed is None else RunDirectory(resumed).load_last(lambda _: None)
    if own is not None:
        return InitialParameters(own[1], str(resumed)).encoding, None
    initial = InitialParameters(*read_run(init_from))
    return initial.encoding, initial


def check_level(config: Config, vocabulary: Vocabulary) -> None:
    """Check that a text is read at the level of the vocabulary of a trained model.

    Raises:
        UsageError: if it is not.
    """
    level = "char" if vocabulary.level == "symbol" else vocabulary.level
    if config.text_level != level:
        raise UsageError(
            f"level is {config.text_level!r}, and the model of `init_from` reads level {level!r}; give the "
            f"level of that model."
        )
    if config.vocab_size not in (None, len(vocabulary)):
        raise UsageError(
            f"vocab_size is {config.vocab_size}, and the model of `init_from` has {len(vocabulary)} symbols; "
            f"leave it out."
        )


def in_vocabulary(corpus: Corpus, vocabulary: Vocabulary) -> Corpus:
    """A text with the tokens of the vocabulary of a trained model.

    Raises:
        DataError: if the vocabulary lacks symbols of the text.
    """
    if corpus.vocabulary == vocabulary:
        return corpus
    unknown = set(corpus.symbols) - set(vocabulary.symbols)
    if unknown or corpus.level not in CODE_LEVELS:
        other = f"{list_symbols(sorted(unknown, key=str))}" if unknown else "tokens that mean other symbols"
        raise DataError(
            f"{corpus.name}: not among the {len(vocabulary):,} symbols of the model of `init_from`: {other}; "
            f"give a text of its symbols, or leave out `init_from`."
        )
    tokens = corpus.tokens_in(vocabulary)
    return replace(corpus, symbols=vocabulary.symbols, tokens=tokens, own_vocabulary=vocabulary)

"""``zoo pages``: a page for each cell. Those in ``docs/zoo`` are what the command makes now."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import zoo
from zoo.base import Block, Cell
from zoo.cell_pages.block_page import block_page
from zoo.cell_pages.cell_info import family_description
from zoo.cell_pages.cell_page import (
    PageLinks,
    cell_document,
    cell_page,
    count_in_letters,
    document,
    link,
    prose,
    with_links,
)
from zoo.cell_pages.cell_tables import initial_value
from zoo.cell_pages.pages import (
    all_files,
    block_files,
    cell_files,
    family_page,
    pending_changes,
    write_changes,
)
from zoo.cli.app import cli
from zoo.errors import UsageError
from zoo.registry import registry_of
from zoo.storage.document_marker import END

DOCS = Path(__file__).parents[2] / "docs" / "zoo"
RICH = Path(__file__).parents[1] / "support" / "kitchen_sink_cell.py"
CARD = zoo.Card(
    title="On [brackets] | bars",
    authors="A. Bee & C. Dee",
    year=2000,
    url="https://doi.org/10.1016/0364-0213(90)90002-E",
    trainability="It only copies.",
)


def run(*args: str) -> Result:
    return CliRunner(env={"ZOO_PLUGINS": ""}).invoke(cli, args, prog_name="zoo", catch_exceptions=False)


def shipped(base=Cell):
    registry = registry_of(base)
    return [
        registry.cls(name)
        for name in registry.list()
        if registry.source(name).distribution == "recurrent-zoo"
    ]


# ---- the pages of this repository ---------------------------------------------------------------------


def test_pages_in_docs_are_up_to_date() -> None:
    changes = pending_changes(all_files(shipped(), shipped(Block), DOCS), DOCS, is_all=True)
    assert not changes, f"docs/zoo is out of date: run `ZOO_PLUGINS= zoo pages --out docs/zoo`, {[*changes]}"


def test_readme_counts_the_shipped_cells() -> None:
    text = (DOCS.parents[1] / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\b(\d+) (?:published cells|cells,|recurrent)", text) == [str(len(shipped()))] * 2


def test_pages_are_the_same_in_every_process(tmp_path: Path) -> None:
    for seed in "12":
        command = [sys.executable, "-m", "zoo", "pages", "lru", "slstm", "--out", str(tmp_path / seed)]
        env = {**os.environ, "PYTHONHASHSEED": seed, "ZOO_PLUGINS": ""}
        subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
    first, second = (
        {path.relative_to(tmp_path / seed): path.read_bytes() for path in (tmp_path / seed).rglob("*.*")}
        for seed in "12"
    )
    assert first == second
    assert len(first) == 4


# ---- a page -------------------------------------------------------------------------------------------


def test_page_of_a_cell() -> None:
    links = PageLinks("../README.md", {"gru": "../gated/gru.md"}, "../lstm.py", "It learns.")
    text = cell_page(type(zoo.get_cell("lstm")), links)
    line = " ".join(text.split())
    assert (
        "by Felix A. Gers, Jürgen Schmidhuber, Fred Cummins (2000) and [Long Short-Term Memory](https" in line
    )
    assert "by Sepp Hochreiter, Jürgen Schmidhuber (1997)." in line
    assert '`zoo.Recurrent("lstm", input_size, hidden_size)` in Python' in line
    assert "Its names elsewhere: `nn.LSTM` in PyTorch, `LSTM` in Keras, `LSTMCell` in Flax" in line
    assert "uniform_gates" not in text
    assert "```text" not in text
    assert "i, f, g, o = x Wx" not in text
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == [
        "Equations", "History", "When to use it", "Variant and differences from the paper",
        "Arrays and options", "Cost of one step of one sequence", "Results", "Related cells", "References",
    ]  # fmt: skip
    assert (
        "input gate `sigmoid_i`, forget gate `sigmoid_f`, output gate `sigmoid_o`, candidate `tanh_g`."
        in line
    )
    for words in (
        "# lstm",
        "Family [lstm](../README.md#lstm). From [Learning to Forget: Continual Prediction with",
        "![One step of lstm](lstm.svg)",
        "# lstm\n\nLong short-term memory: three gates control what a memory cell stores, ",
        "keeps and outputs.\n\nFamily ",
        r"c_{t} &= \sigma(f_{t}) \odot c_{t-1} + \sigma(i_{t}) \odot \tanh(g_{t}) \\" + "\n",
        "| `Wx` | `(I, 4H)` | uniform within `1 / sqrt(H)` of zero, for weights of four gates side by side, ",
        "| parameters | 4H² + 4H·I + 4H | 99,328 |",
        "| state size | 2H | 256 |",
        "| Matmul FLOPs (forward) | 8H² + 8H·I | 197,632 |",
        "| Matmul FLOPs (forward), with token input | 8H² | 131,072 |",
        "| transcendental evaluations (forward) | 5H | 640 |",
        "| stored activations | ",
        "[Source](../lstm.py).",
        "## Results\n\nIt learns.\n",
        "- [gru](../gated/gru.md) has one state vector and no output gate.\n",
        "- janet has ",
        "```bibtex\n@misc{gers2000learning,\n",
        "\n@misc{hochreiter1997long,\n",
    ):
        assert words in text, words


def test_page_names_options_behind_computed_numbers() -> None:
    text = cell_page(type(zoo.get_cell("alif")))
    plain, _, typeset = text.partition("The same in numbers, with the default options:")
    assert "d  = exp(-1 / tau_b)" in plain
    assert "0.995012479193" in typeset
    assert "The same in numbers" not in cell_page(type(zoo.get_cell("lstm")))


def test_page_names_the_nearest_block() -> None:
    text = " ".join(cell_page(type(zoo.get_cell("kda"))).split())
    assert "Block nearest to the one of the paper: `deltanet`." in text
    assert "the block deltanet has no gate" in text


class Plain(zoo.Cell):
    """Made of ``x * y`` and a *star*, if a < b.

    Equations::

        h' = x W

        and more
    """

    card = CARD
    family = "tests"
    W = zoo.Param("I", "H/5")
    h = zoo.State("H/5")

    def step(self, x, h):
        return x @ self.W + h


def test_page_of_an_unpublished_cell() -> None:
    cls = type("Fresh", (Plain,), {"__doc__": "Fresh.", "card": None, "name": "fresh"})
    text = cell_page(cls)
    assert "Family tests. Unpublished. Scope: `recurrence` (the recurrence alone)." in text
    assert "@misc{fresh,\n  title = {{Fresh}},\n  note  = {unpublished},\n}" in text


@pytest.mark.parametrize("cls", shipped(), ids=lambda cls: cls.name)
def test_formulas_equal_the_counts(cls: type[Cell]) -> None:
    cell = cls()
    for arrays, count in ((cls.params, cell.parameter_count), (cls.states, cell.state_size)):
        formula = count_in_letters(arrays, cell.options)
        python = re.sub(r"([IH])([²³])", r"\1**\2", formula).translate(str.maketrans("²³·", "23*"))
        python = re.sub(r"(\d)(?=[IH])", r"\1*", re.sub(r"\*\*(\d)", r"**\1 ", python))
        for sizes in ((240, 480), (480, 960)):
            with contextlib.suppress(UsageError):
                assert eval(python, {"I": sizes[0], "H": sizes[1]}) == count(*sizes)


@pytest.mark.parametrize("cls", shipped(), ids=lambda cls: cls.name)
def test_initial_values_are_described_in_words(cls: type[Cell]) -> None:
    for array in (*cls.params.values(), *cls.buffers.values()):
        text = initial_value(array)
        assert " " in text
        assert text.startswith("Glorot ") or not text[0].isupper()
        assert not text.endswith(".")


@pytest.mark.parametrize("cls", shipped(), ids=lambda cls: cls.name)
def test_related_cells_exist(cls: type[Cell]) -> None:
    assert set(cls.card.related) <= {each.name for each in shipped()} - {cls.name}
    assert cls.card.related
    assert all(text.endswith(".") for text in cls.card.related.values())
    assert all(text[0].islower() for text in cls.card.related.values()), "the name begins the sentence"


@pytest.mark.parametrize("cls", shipped(), ids=lambda cls: cls.name)
def test_relations_are_on_both_pages(cls: type[Cell]) -> None:
    for name in cls.card.related:
        other = type(zoo.get_cell(name))
        assert cls.name in other.card.related, f"{name} lacks {cls.name}"


@pytest.mark.parametrize("cls", shipped(), ids=lambda cls: cls.name)
def test_history_and_use_are_two_to_four_sentences(cls: type[Cell]) -> None:
    for text in (cls.card.history, cls.card.when_to_use):
        assert 2 <= len(re.findall(r"[^.]{9}\.(?=\s[A-Z]|$)", text)) <= 4, text
        assert text.endswith(".")


COMPARISONS = {
    r"(?<!no )(?:better|faster) than": lambda own, other: own < other,
    r"(?:worse|slower) than": lambda own, other: own > other,
    r"no better than": lambda own, other: own > other,
    r"(?:about|nearly) as good as": lambda own, other: abs(own - other) < 0.03,
}


def test_comparisons_on_cards_agree_with_the_short_run() -> None:
    table = (DOCS / "trainability.md").read_text(encoding="utf-8")
    nats = {
        name: float(loss)
        for name, loss in re.findall(r"^\| \[(\w+)\]\(.*?\| .*?\| ([\d.]+)", table, re.MULTILINE)
    }
    count = 0
    for cls in shipped():
        for sentence in re.split(r"(?<=\.)\s", cls.card.when_to_use):
            if "short run" in sentence:
                for words, is_true in COMPARISONS.items():
                    for other in re.findall(rf"{words} (?:the )?(\w+)", sentence):
                        assert is_true(nats[cls.name], nats[other]), (cls.name, sentence)
                        count += 1
                if "best cells" in sentence:
                    assert nats[cls.name] in sorted(nats.values())[:5], (cls.name, sentence)
    assert count > 30


def test_results_of_a_short_run(tmp_path: Path) -> None:
    row = "| [gru](gated/gru.md) | recurrence | 1.5 | 2.16 |"
    (tmp_path / "trainability.md").write_text(f"| cell |\n|---|\n{row}\n", encoding="utf-8")
    page = all_files([type(zoo.get_cell("gru"))], [], tmp_path)["gated/gru.md"]
    assert "Rank 1 of 1 in [a short run](../trainability.md)" in page
    assert "## Results" not in cell_page(type(zoo.get_cell("gru")))


def test_index_has_whole_sentences() -> None:
    listed = [
        line for line in (DOCS / "README.md").read_text(encoding="utf-8").splitlines() if line[:3] == "| ["
    ]
    assert len(listed) == len(shipped()) + len(shipped(Block))
    assert not [line for line in listed if not line.endswith(". |")]
    assert all(cls.summary().endswith(".") for cls in shipped())


def test_markdown_characters_are_escaped() -> None:
    text = cell_page(Plain)
    assert "Made of `x * y` and a \\*star\\*, if a &lt; b." in text
    assert "[On \\[brackets\\] | bars](https://doi.org/10.1016/0364-0213%2890%2990002-E)" in text
    assert "## When to use it\n\nIt only copies.\n" in text
    assert "and more" not in text
    assert "| parameters | (H·I)/5 | - |" in text  # 128 is not divisible by 5


def test_cell_without_a_step_has_no_diagram() -> None:
    vanilla = type(zoo.get_cell("vanilla"))
    members = {name: vars(vanilla)[name] for name in ("Wxh", "Whh", "bh", "h", "forward", "backward")}
    cls = type("Bare", (zoo.Cell,), {"__doc__": "Bare.", "card": CARD, **members})
    text = cell_page(cls)
    assert "no `step`, so there are no typeset equations and no diagram" in text
    assert "svg" not in text
    assert "FLOPs" not in text
    assert "| stored activations |  | 128 |" in text
    assert "Operations are counted in the kernels that zoo would derive" in cell_page(vanilla)


def test_names_of_cells_become_links() -> None:
    addresses = {"gru": "gru.md", "mgu1": "mgu1.md"}
    text = with_links(
        "A gru and a gru, gru-like, `gru` or `zoo --cell mgu1`, <https://x.org/mgu1>: mgu1.", addresses
    )
    assert text == (
        "A [gru](gru.md) and a gru, gru-like, `gru` or `zoo --cell mgu1`, <https://x.org/mgu1>: "
        "[mgu1](mgu1.md)."
    )
    assert addresses == {}
    assert with_links("See `gru`.", {"gru": "gru.md"}) == "See [`gru`](gru.md)."
    documents = {"docs/a.md": "../a.md", "docs": "no.md"}
    assert with_links("See docs/a.md, x/docs/a.md.", documents) == "See [docs/a.md](../a.md), x/docs/a.md."
    links = PageLinks(cells={"lstm": "../lstm/lstm.md", "star": "../gated/star.md"})
    assert "where an [lstm](../lstm/lstm.md) has four blocks" in " ".join(
        cell_page(type(zoo.get_cell("gru")), links).split()
    )


def test_parts_of_a_docstring() -> None:
    doc = cell_document(type(zoo.get_cell("cfc")))
    assert [len(part) for part in (doc.summary, doc.lead, doc.equations, doc.notes)] == [1, 1, 2, 1]
    assert doc.summary[0].endswith(".")
    assert doc.equations[1].startswith("    v = 1.7159 tanh(")
    assert doc.examples[0].startswith("Train it with uneven time steps::")
    assert "``Wx (" not in "".join((*doc.lead, *doc.notes)), "the table of arrays has it"
    page = cell_page(type(zoo.get_cell("cfc")))
    assert page.index("## When to use it") < page.index("Train it with uneven") < page.index("## Variant")


def test_page_of_a_complex_cell_has_equations_in_complex_numbers() -> None:
    text = cell_page(type(zoo.get_cell("s5")))
    assert "```text\ndt = exp(log_dt)\n" in text
    assert "Output: `(H)`, not a state." in text
    assert "Output: `(2H)`, not a state." in cell_page(type(zoo.get_cell("urnn")))
    assert "Output: `(32)`, the state `h`." in cell_page(type(zoo.get_cell("lstm_projected")))


def test_markdown() -> None:
    assert prose("a_b ``c*d`` [e]") == "a_b `c*d` \\[e\\]"
    assert prose("(https://x.org/a_b#c, ``d``). See https://x.org/.") == (
        "(<https://x.org/a_b#c>, `d`). See <https://x.org/>."
    )
    assert link("[a]", "https://x.org/(b)") == "[\\[a\\]](https://x.org/%28b%29)"
    assert list(document(["One\ntwo::", "    three\n      four"])) == [
        "One two:", "", "```text", "three", "  four", "```", ""
    ]  # fmt: skip


# ---- blocks -------------------------------------------------------------------------------------------


def words_of(text: str) -> str:
    return " ".join(text.split())


def test_page_of_a_block() -> None:
    links = PageLinks("README.md", {"mamba": "../linear/mamba.md"}, "../mamba.py")
    text = block_page(type(zoo.get_block("mamba")), shipped(), links)
    for words in (
        "# mamba (block)\n\nMamba's block: norm, expansion,",
        "One of [the blocks](README.md). From [Mamba: Linear-Time Sequence Modeling with Selective State",
        "[Source](../mamba.py).",
        "zoo compare --cells lstm,gru --block bare,mamba --tasks copying",
        "u = silu(short_convolution(n @ Wu) + b)\n",
        "![mamba around vanilla](mamba.svg)",
        "| `past` | `(width-1, expand*D)` | channels before the convolution, the oldest first |",
        "| `mamba_expand` | `2` | an integer at least 1 |",
        "| `gla` | middle | D | 128 |",
        "these cells: log_linear_attention, longhorn, [mamba](../linear/mamba.md), mamba2, rodimus.",
        "The projection of the first layer starts with variance 1 / I",
        "@misc{gu2023mamba,",
    ):
        assert words_of(words) in words_of(text), words


@pytest.mark.parametrize("cls", shipped(Block), ids=lambda cls: cls.name)
def test_numbers_of_a_block_are_those_of_layers(cls: type[Block]) -> None:
    rnn = zoo.Recurrent("lstm", 65, 128, num_layers=3, block=cls)
    counts = [
        sum(array.size for name, array in rnn.params.items() if name.startswith(f"l{layer}.block_"))
        for layer in range(3)
    ]
    text = block_page(cls, [])
    rows = re.findall(r"^\| `lstm` \| (\w+) \| .* \| ([\d,]+) \|$", text, re.MULTILINE)
    expected = [] if cls.is_bare() else list(zip(("first", "middle", "last"), counts, strict=True))
    assert [(layer, int(count.replace(",", ""))) for layer, count in rows] == expected


@pytest.mark.parametrize(("block", "ends"), [("mamba", True), ("glu", False)])
def test_page_names_the_end_of_the_stack_of_blocks_that_have_one(block: str, ends: bool) -> None:
    text = words_of(block_page(type(zoo.get_block(block)), []))
    assert ("which projects its input and ends with `finish`, the last operation" in text) == ends
    assert ("the last one ends with `finish`" in text) == ends


def test_bare_block_has_no_diagram_and_no_paper_of_its_own() -> None:
    ((path, text),) = block_files(type(zoo.get_block("bare")), []).items()
    assert path == "blocks/bare.md"
    assert "A layer of the cell alone, as in [Finding Structure in Time]" in words_of(text)


def test_block_and_cell_of_its_paper_have_links_to_each_other(tmp_path: Path) -> None:
    files = all_files([type(zoo.get_cell("lru"))], [type(zoo.get_block("glu"))], tmp_path)
    assert "[`glu`](../blocks/glu.md)" in files["linear/lru.md"]
    assert "[lru](../linear/lru.md)" in files["blocks/glu.md"]
    assert "| [`glu`](blocks/glu.md) | 2022 | [lru](linear/lru.md) |" in files["README.md"]
    assert "| [`glu`](glu.md) | 2022 | [lru](../linear/lru.md) |" in files["blocks/README.md"]


def test_pages_of_cells_and_blocks(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import zoo\n\nclass Skip(zoo.Block):\n    'y = x + cell(x).'\n\n"
        "    def step(self, x, cell):\n        return x + cell(x)\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    result = run("pages", "mamba", "block:mamba", f"{file}:Skip", "--out", str(out))
    assert result.output == f"1 cell and 2 blocks: 6 files written in {out}\n"
    names = {path.name for path in (out / "blocks").iterdir()}
    assert names == {"mamba.md", "mamba.svg", "skip.md", "skip.svg"}
    assert "Unpublished." in (out / "blocks" / "skip.md").read_text(encoding="utf-8")


# ---- the command --------------------------------------------------------------------------------------


def test_pages_of_some_cells(tmp_path: Path) -> None:
    result = run("pages", "gru", f"{RICH}:Rich", "--out", str(tmp_path))
    assert result.output == f"2 cells: 4 files written in {tmp_path}\n"
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert names == ["gated/gru.md", "gated/gru.svg", "other/rich.md", "other/rich.svg"]
    (tmp_path / "gated" / "gru.svg").unlink()
    result = run("pages", "gru", f"{RICH}:Rich", "--out", str(tmp_path))
    assert result.output == f"2 cells: 1 file written, 3 files unchanged in {tmp_path}\n"


def test_pages_of_all_cells_replace_stale_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def few_files(cls: type[Cell], links: PageLinks) -> dict[str, str]:
        return cell_files(cls, links) if cls.name == "gru" else {}  # those of all cells take 4 s

    monkeypatch.setattr("zoo.cell_pages.pages.cell_files", few_files)
    (tmp_path / "old").mkdir()
    stale, mine = tmp_path / "old" / "gone.md", tmp_path / "old" / "mine.md"
    stale.write_text(cell_page(Plain), encoding="utf-8")
    mine.write_text("My own notes.", encoding="utf-8")
    (tmp_path / "trainability.md").write_text("A table.", encoding="utf-8")
    assert ", 1 file removed in " in run("pages", "--out", str(tmp_path)).output
    assert not stale.exists()
    assert mine.exists()
    assert (tmp_path / "gated" / "gru.md").exists()
    index = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| [`gru`](gated/gru.md) | 2014 | recurrence | 74,624 | 128 | Gated recurrent unit" in index
    assert "](trainability.md)" in index
    assert all(f"](../{name}.md)" not in index for name in ("plain", "rich"))
    family = (tmp_path / "gated" / "README.md").read_text(encoding="utf-8")
    assert "# gated cells\n\nGated cells: the GRU and related cells, with" in family
    assert "| [`gru`](gru.md) | 2014 | recurrence | 74,624 | 128 | Gated recurrent unit" in family
    assert "`lstm`" not in family


def test_results_of_another_program_stay_in_a_page(tmp_path: Path) -> None:
    classes, block = [type(zoo.get_cell("gru"))], "<!-- results, made by: x -->\n\nMine.\n\n" + END
    for blocks in ({"gru": block}, None):  # given, then those in the folder
        files = all_files(classes, [], tmp_path, blocks)
        assert f"\n## Results\n\n{block}\n\n## Related cells\n" in files["gated/gru.md"]
        write_changes(files, tmp_path)
    assert not pending_changes(all_files(classes, [], tmp_path), tmp_path, is_all=True)
    assert END not in all_files(classes, [], tmp_path, {})["gated/gru.md"]


def test_family_without_a_package_has_no_description() -> None:
    assert (
        family_description(type(zoo.get_cell("lmu")))
        == "Cells with a designed memory next to their hidden units."
    )
    assert family_description(Plain) == ""
    assert "# tests cells\n\nOne family of [the cells](../README.md)." in family_page(
        "tests", [], "", "../README.md"
    )


def test_check_writes_nothing(tmp_path: Path) -> None:
    result = run("pages", "gru", "--out", str(tmp_path), "--check")
    assert result.exit_code == 1
    command = f"zoo pages gru --out {tmp_path}"
    assert f"gated/gru.md, gated/gru.svg in {tmp_path} would change; run `{command}`." in result.output
    assert list(tmp_path.iterdir()) == []
    run("pages", "gru", "--out", str(tmp_path))
    assert run("pages", "gru", "--out", str(tmp_path), "--check").exit_code == 0


@pytest.mark.parametrize("where", ["", "gated", "gated/gru.md"])
def test_file_in_place_of_a_folder_is_named(where: str, tmp_path: Path) -> None:
    """A folder of pages is a file, or a page is a folder."""
    folder = tmp_path / "pages"
    if where.endswith(".md"):
        (folder / where).mkdir(parents=True)
    else:
        folder.mkdir(exist_ok=True)
        if not where:
            folder.rmdir()
        (folder / where).write_text("mine", encoding="utf-8")
    result = run("pages", "gru", "--out", str(folder))
    assert result.exit_code in (1, 2)
    assert result.output.startswith("Error: ")
    assert (folder / where).name in result.output
    assert "system error" not in result.output


@pytest.mark.parametrize("text", ["My own page.", "\xff"])
def test_files_of_other_origin_are_not_overwritten(text: str, tmp_path: Path) -> None:
    mine = tmp_path / "gated" / "gru.md"
    mine.parent.mkdir()
    mine.write_text(text, encoding="latin-1")
    result = run("pages", "gru", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert f"Error: {mine} was not made by zoo pages, and would be overwritten; move it" in result.output
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text(encoding="latin-1") == text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("pages gru", 2, "--out is missing; expected `--out DIR`."),
        ("pages vanila --out x", 2, "Did you mean 'vanilla'?"),
        ("pages adam --out x", 2, "optimizer 'adam' has no page; name a cell, or a block as block:NAME."),
        (f"pages --out {RICH}", 2, "kitchen_sink_cell.py', a file; expected a directory."),
    ],
)
def test_invalid_arguments(arguments: str, code: int, words: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments.split())
    assert result.exit_code == code
    assert words in result.output
    assert list(tmp_path.iterdir()) == []


def test_family_that_is_not_a_folder_name(tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    text = RICH.read_text(encoding="utf-8").replace("    W = zoo", '    family = "../up"\n    W = zoo', 1)
    file.write_text(text, encoding="utf-8")
    result = run("pages", f"{file}:Rich", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "its family '../up' cannot name a folder; use letters, digits, _ and -." in result.output

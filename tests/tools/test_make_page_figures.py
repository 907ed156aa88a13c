"""The figures that pages draw are in the repository, made by the code that the page shows."""

from __future__ import annotations

import json
from pathlib import Path

import make_page_figures
import pytest

PAGES = make_page_figures.pages_with_figures()
PAGE = """```python file=dale.py
x = 1
```

```console
$ zoo train \\
    --steps 3
step 1
```

```python no-run
figure.savefig("never.png")
```

```python
from dale import x
figure.savefig("a-b.png")
```
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    digests = json.loads(make_page_figures.DIGESTS.read_text(encoding="utf-8"))
    name = page.relative_to(make_page_figures.ROOT).as_posix()
    assert digests.get(name) == make_page_figures.digest(text), (
        f"run python tools/make_page_figures.py {name}"
    )
    for figure in make_page_figures.figures_of(text):
        assert f"images/{figure})" in text
        assert (make_page_figures.IMAGES / figure).exists()


def test_code_that_does_not_run_draws_nothing() -> None:
    assert make_page_figures.figures_of(PAGE) == ["a-b.png"]
    assert "$ zoo train \\\n    --steps 3" in make_page_figures.code_of(PAGE)
    assert "step 1" not in make_page_figures.code_of(PAGE)
    assert make_page_figures.digest(PAGE) != make_page_figures.digest(PAGE.replace("a-b", "a"))


def test_make_runs_the_page_and_stores_figure_and_digest(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(make_page_figures, "ROOT", tmp_path)
    monkeypatch.setattr(make_page_figures, "IMAGES", tmp_path)
    monkeypatch.setattr(make_page_figures, "DIGESTS", tmp_path / "pages.json")
    page = tmp_path / "page.md"
    without_console = PAGE[: PAGE.index("```console")] + PAGE[PAGE.index("```python no-run") :]
    without_console = without_console.replace("```python no-run", "<!-- not run: never -->\n```python no-run")
    code = "class Figure:\n    def savefig(self, name):\n        open(name, 'w').write('drawn')\n\n"
    code += "figure = Figure()\n"
    page.write_text(without_console.replace("from dale", code + "from dale"), encoding="utf-8")
    make_page_figures.make(page)
    assert (tmp_path / "a-b.png").read_text(encoding="utf-8") == "drawn"
    assert list(json.loads((tmp_path / "pages.json").read_text(encoding="utf-8"))) == ["page.md"]

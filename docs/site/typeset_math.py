"""Typeset mathematics as SVG while the site is built: pages need no script, no font and no network.

ziamath is a Python package that brings its own font, so the build needs neither LaTeX nor Node.
"""

from __future__ import annotations

from html import escape

import ziamath
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

SIZE = 18.0  # pixels; the text of the pages has 16, and the letters of the font of mathematics are smaller

ziamath.config.svg2 = False  # plain paths: no identifiers that would clash in a page with many formulas


def typeset(formula: str, inline: bool) -> tuple[str, float]:
    """A formula as SVG in the colour of the text, and the pixels from its bottom to the base line.

    Args:
        formula: LaTeX. ziamath knows ``align*`` and not ``aligned``, which is the same here.
        inline: Whether it is part of a line of text.
    """
    latex = formula.replace("{aligned}", "{align*}")
    drawn = ziamath.Latex(latex, SIZE, inline=inline, color="currentColor")
    label = f'<svg role="img" aria-label="{escape(" ".join(formula.split()))}"'
    return drawn.svg().replace("<svg", label, 1), drawn.getyofst()


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line of text, on its base line."""
    svg, offset = typeset(node.astext(), inline=True)
    translator.body.append(f'<span class="formula" style="vertical-align: {offset:.1f}px">{svg}</span>')
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula, which can be scrolled where the screen is narrow."""
    translator.body.append(f'<div class="formula">{typeset(node.astext(), inline=False)[0]}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the renderer."""
    app.add_html_math_renderer(
        "svg", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}

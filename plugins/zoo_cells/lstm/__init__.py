"""Long short-term memory and its variants: a memory cell in addition to the output, with gates."""

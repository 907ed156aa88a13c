"""Long short-term memory and its variants: a memory cell beside the hidden units, and gates on the way."""

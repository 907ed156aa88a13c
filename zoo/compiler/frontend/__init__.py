"""The front end of the compiler: run `step` on symbolic arrays and record a graph."""

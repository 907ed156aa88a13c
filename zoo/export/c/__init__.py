"""A model as C99: the back end of the compiler's plans that writes C."""

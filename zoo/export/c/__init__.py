"""The C99 back end."""

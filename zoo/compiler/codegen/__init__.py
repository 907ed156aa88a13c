"""From a plan to readable Python."""

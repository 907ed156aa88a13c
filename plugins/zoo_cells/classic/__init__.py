"""The classics: simple recurrent networks and their closest relatives."""

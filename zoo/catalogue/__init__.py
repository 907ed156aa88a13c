"""What is told of the cells: facts for lists, and pages with a picture of one step."""

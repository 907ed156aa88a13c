"""Modified cells: compose any cell with a modifier into another cell."""

"""Modified cells: any cell and a modifier make another cell, whose step is read like that of any."""

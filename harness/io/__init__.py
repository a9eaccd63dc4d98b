"""Tables of files: formats, columns with their units, and what is wrong with them."""

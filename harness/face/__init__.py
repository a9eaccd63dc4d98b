"""What a user meets: the command line, the functions of the same names, lists and descriptions."""

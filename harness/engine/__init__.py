"""Tasks, the processes that run them, and the run as a whole."""

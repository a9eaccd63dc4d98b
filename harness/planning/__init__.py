"""From a scenario file to the cells that are to be run."""

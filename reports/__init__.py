"""Reports: tables, figures and the page, from the result tables of a run and nothing else."""

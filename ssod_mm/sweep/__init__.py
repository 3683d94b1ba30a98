"""Many trainings from one file: planned, run, resumed, counted; loads no torch."""

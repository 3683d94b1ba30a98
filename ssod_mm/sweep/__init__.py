"""Plans, runs, resumes and counts many trainings from one file; loads no torch."""

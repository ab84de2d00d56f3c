"""What leaves a run: copies and merged models, proved on the run's own rows."""

"""Studies: what runs the pipeline many times to find something out."""

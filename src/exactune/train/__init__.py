"""The run: rows and a model in, checkpoints, a metrics file and the best artifact out."""

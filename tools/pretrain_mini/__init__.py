"""Pre-trains Exactune's embedded base models: a corpus folder in, a Hugging Face model folder out."""

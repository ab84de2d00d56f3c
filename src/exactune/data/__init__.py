"""From files to examples: reading, formats, splitting, mixing. Torch-free."""

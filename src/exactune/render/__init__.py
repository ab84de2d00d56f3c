"""Examples to token ids: the only place where ids are made."""

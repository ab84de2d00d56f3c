"""Runs made sick on purpose, and healthy ones: what :mod:`doctor` trains."""

"""Answers to figures: scores, intervals, baselines."""

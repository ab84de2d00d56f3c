"""Models that answer: loading, greedy generation, the loss of given answers."""

"""What a trained model is asked: losses on held-out text of each source, and multiple choice."""

"""From deduplicated documents to training data: holdout, tokens, recipes, plans, packed sequences."""

"""One page that shows what was removed, what stayed and what the mixtures hold."""

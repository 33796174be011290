"""The stage that builds mixtures."""

"""The sections of a report: each file computes one struct of ``figures/`` from an opened output."""

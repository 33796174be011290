"""Finished outputs looked into: what was asked for, what was decided on a document, and texts side by side."""

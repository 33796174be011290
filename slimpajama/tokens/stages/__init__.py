"""The stages that make a token store."""

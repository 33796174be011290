"""The decoder of the study: its shape, its parts and the sizes that it comes in."""

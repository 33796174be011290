"""The drawings of a report: structs in, SVG out. One look for all, in ``style.py``."""

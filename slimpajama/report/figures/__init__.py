"""The figures of a report: what its sections measure, its drawings draw and its data files hold.

Each section is a struct. It is made from an output in ``sections/``, drawn in ``drawings/`` and laid out by the page.
The page never computes, so every number it shows stands in ``report/data/``, too.
"""

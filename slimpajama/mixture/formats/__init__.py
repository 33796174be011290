"""The formats of a mixture's files; a format is one class in one file. See :mod:`slimpajama.mixture.formats.base`."""

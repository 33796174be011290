"""Files and locks: paths on disk or in a store, atomic writes, file lists, arrays."""

"""Text in, numbers out: normalisation, the cleaning used for hashing, and shingle hashes."""

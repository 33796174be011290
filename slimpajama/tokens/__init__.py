"""From deduplicated documents to the token store."""

"""Re-reading what a run wrote: work items that return what they found wrong, in sentences, and never raise it."""

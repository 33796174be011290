"""From links to connected components, in memory or by disk."""

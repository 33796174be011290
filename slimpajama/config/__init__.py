"""Settings: models, presets, sizes, and what is said of a wrong value."""

"""What a stage is, how its tasks are run, and how finished ones are remembered. No stage is here itself."""

"""Before a run: what it will take, from a sample of its input and the speed of this machine."""

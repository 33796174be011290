"""The commands, a file for each: parsing and printing, nothing else. Heavy imports happen inside them."""

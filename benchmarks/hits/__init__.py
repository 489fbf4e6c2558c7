"""How often and at what cost minima are found."""

"""Global minimisation by an action functional, with a network that has one minimum."""

"""Tables and figures of the Learn2Hop paper, each from records; one a module."""

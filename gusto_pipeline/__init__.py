"""People data out of Gusto and put to work."""

"""`make bench`: how fast the desk is, measured on a house of its own."""

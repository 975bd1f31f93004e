"""How the desk writes times."""

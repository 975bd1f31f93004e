"""How the desk writes times in English."""

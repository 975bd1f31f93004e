"""Starts the whole house and keeps it up. Imports nothing of Django and nothing of the desk."""

"""What processes of a broken house load at their start."""

"""The desk's pages. Each view reads a request and calls one function."""

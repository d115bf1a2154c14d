"""THE DOOR: the boundary, and what it does besides opening scopes."""

"""WHETHER: what policies are, and those that ship."""

"""Laws of airlock: what holds for every program, checked against a small reference model."""

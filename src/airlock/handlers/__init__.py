"""WHO: which handler runs for which intent."""

"""The testing kit: recordings, expectations, fakes, and what is said when a test fails."""

"""One file for each framework or engine; each imports only itself and the core."""

"""What a boundary promises: scopes, policies, wiring, flushes, and every misuse of them."""

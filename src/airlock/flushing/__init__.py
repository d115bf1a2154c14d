"""The run: decide → resolve → execute → report."""

"""Other libraries' spelling, translated to ours."""

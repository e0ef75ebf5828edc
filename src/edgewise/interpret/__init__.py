"""See a network, prune it, read its formula."""

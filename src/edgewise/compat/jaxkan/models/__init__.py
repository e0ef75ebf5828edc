"""Models by jaxKAN's names."""

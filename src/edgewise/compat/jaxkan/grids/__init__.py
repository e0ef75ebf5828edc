"""Grids by jaxKAN's names."""

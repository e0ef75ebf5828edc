"""Differential equations by jaxKAN's names."""

"""The contract rigs of this package's providers."""

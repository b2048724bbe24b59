"""Scores of trained networks, and the cards that show them."""

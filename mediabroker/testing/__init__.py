"""For tests of providers and of programs that use them. Nothing else in the package imports this, and only
`plugin`, `contract` and the checks need pytest."""

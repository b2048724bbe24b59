"""The checks of the provider contract, by subject. `ProviderContract` puts them together; do not use them one by one.

Every check takes `rig` and `driver`, knows no vendor, and reads from `Capabilities` what it may expect.
"""

"""The naive oracle: a second reading of the contract, sharing no code with the daemon."""

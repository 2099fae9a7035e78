"""Words on the command line -> one call -> print."""

"""The palette domain: what a seed means, which colours it draws, what can be computed from them."""

"""The palette domain: the seed's text codec, the gradient's colours, what can be computed from them."""

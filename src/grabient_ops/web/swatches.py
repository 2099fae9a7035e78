"""The eleven colours that stand for a palette, wherever a page shows one."""

from functools import lru_cache

from grabient_ops.palettes.colours import hex_codes
from grabient_ops.palettes.describe import colours_of
from grabient_ops.palettes.seed import InvalidSeedError, read_seed


@lru_cache(maxsize=8192)
def stripes(seed: str) -> tuple[str, ...]:
    """Return the colours of a seed as `#rrggbb`, first to last; none when it is no seed."""
    try:
        palette = read_seed(seed)
    except InvalidSeedError:
        return ()
    return tuple(hex_codes(colours_of([palette]))[0])

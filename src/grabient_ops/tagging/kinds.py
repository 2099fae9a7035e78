"""The two stages of which every prompt, pass, batch and answer is one."""

from typing import Literal, get_args

Kind = Literal["tagging", "refinement"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which a palette goes through them."""

"""What may change, as panels name it."""

from typing import Literal

from grabient_ops.store.changes import Topic as StoreTopic

Topic = StoreTopic | Literal["journal", "warehouse", "worker"]
"""The store's topics; steps of workflows; a generation of the lake; who works on the home."""

TAGGING: frozenset[Topic] = frozenset({"palettes", "prompts", "targets", "responses"})
"""What the progress of tagging depends on."""
REFINEMENT: frozenset[Topic] = TAGGING | {"refinements"}
"""What the progress of refinement depends on."""

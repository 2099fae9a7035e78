"""Counts the consensus of one palette from its answers, as the warehouse does for all palettes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from grabient_ops.analytics.facts import normalise
from grabient_ops.analytics.questions.consensus import Consensus, ConsensusTag
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS


class Ballot(NamedTuple):
    """One answer that could be read.

    Attributes:
        model: who gave it, however that is named.
        tags: its fields; what is no object gives no tag.
    """

    model: str
    tags: object


def count_votes(seed: str, ballots: Iterable[Ballot]) -> Consensus:
    """Count the tags of a palette; a tag that an answer repeats counts once.

    The result is what `consensus` says of a lake with the same answers, its tags in the order of
    `FIELDS`, in each category the most frequent first.
    """
    tag_of = _Normalised()
    votes: Counter[tuple[str, str]] = Counter()
    voters: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    models = []
    for ballot in ballots:
        models.append(ballot.model)
        for vote in set(_votes(ballot.tags, tag_of)):
            votes[vote] += 1
            voters[vote].add(ballot.model)
    ranked = sorted(votes.items(), key=lambda item: (FIELDS.index(item[0][0]), -item[1], item[0]))
    tags = [
        ConsensusTag(*vote, count, len(models), len(voters[vote]), count / len(models))
        for vote, count in ranked
    ]
    return Consensus(seed, len(models), len(set(models)), tags)


class _Normalised(dict[str, str]):
    """Most spellings come from many answers; each is normalised once."""

    def __missing__(self, spelling: str) -> str:
        tag = self[spelling] = normalise(spelling)
        return tag


def _votes(tags: object, tag_of: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    fields: Mapping[str, object] = tags if isinstance(tags, dict) else {}
    for field in FIELDS:
        value = fields.get(field)
        spellings = [value] if field in CATEGORIES else value
        for spelling in spellings if isinstance(spellings, list) else ():
            if isinstance(spelling, str) and (tag := tag_of[spelling]):
                yield field, tag

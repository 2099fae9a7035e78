-- Consensus of many palettes by their ids, where it was counted in advance and has not changed since.
-- One row per (palette_id, field, tag_id), as those of consensus_counted with the same $first, $last
-- and $min_share.
-- Needs tallies and moving.
SELECT palette_id, field, tag_id, votes, responses, models
FROM tallies ANTI JOIN moving USING (palette_id)
WHERE palette_id BETWEEN $first AND $last AND votes >= $min_share * responses

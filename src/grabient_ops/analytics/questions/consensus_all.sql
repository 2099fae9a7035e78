-- Consensus of many palettes: what was counted by ids, with its texts.
-- One row per (seed, category, tag), in no order: votes and responses in answers, models in models,
-- share from 0 to 1.
-- Needs counted, the rows of consensus_counted asked with the same $fields.
SELECT seed, $fields[field_tag >> 32] AS category, tag, votes, responses, models,
       votes / CAST(responses AS double) AS share
FROM counted
JOIN palettes USING (palette_id)
JOIN tags ON tag_id = field_tag & 4294967295

-- Consensus of many palettes: what was counted by ids, with its texts.
-- One row per (seed, category, tag), in no order: votes and responses in answers, models in models,
-- share from 0 to 1.
-- Needs counted, the rows of consensus_counted asked with the same $fields.
SELECT seed, $fields[field] AS category, tag, votes, responses, models,
       votes / CAST(responses AS double) AS share
FROM counted
JOIN palettes USING (palette_id)
JOIN tags USING (tag_id)

-- Consensus of many palettes: how many answers of each palette gave each tag.
-- One row per (seed, category, tag), in no order: votes and responses in answers, models in models,
-- share from 0 to 1.
-- Needs chosen_facts, chosen_responses and count_models; asked once for each range of palette ids,
-- $first to $last, so that its hash table stays in the cache however many palettes there are.
WITH answered AS (
  SELECT palette_id, count(*) AS responses
  FROM chosen_responses WHERE ok AND palette_id BETWEEN $first AND $last
  GROUP BY palette_id
),
counted AS (
  SELECT palette_id, category, tag_id, count(*) AS votes, count_models(model_id) AS models
  FROM chosen_facts WHERE palette_id BETWEEN $first AND $last
  GROUP BY palette_id, category, tag_id
)
SELECT seed, CAST(category AS string) AS category, tag, votes, responses, models,
       votes / CAST(responses AS double) AS share
FROM counted
JOIN answered USING (palette_id)
JOIN palettes USING (palette_id)
JOIN tags USING (tag_id)
WHERE votes >= $min_share * responses

-- Consensus of one palette: how many of its answers gave each tag.
-- One row per (category, tag): votes and responses in answers, models in models, share from 0 to 1.
-- Needs chosen_facts, chosen_responses; $palette is a palette_id.
WITH answered AS (
  SELECT count(*) AS responses FROM chosen_responses WHERE ok AND palette_id = $palette
),
counted AS (
  SELECT category, tag_id, count(*) AS votes, count(DISTINCT model_id) AS models
  FROM chosen_facts WHERE palette_id = $palette
  GROUP BY category, tag_id
)
SELECT CAST(category AS string) AS category, tag, votes, responses, models,
       votes / CAST(responses AS double) AS share
FROM counted CROSS JOIN answered JOIN tags USING (tag_id)
WHERE votes >= $min_share * responses
ORDER BY category, votes DESC, tag

-- Consensus of some palettes: how many answers of each gave each tag.
-- One row per (seed, category, tag), in no order, and one per palette without a tag (category NULL):
-- votes and responses in answers, models in models.
-- Needs chosen_facts, chosen_responses; $seeds is a list of seeds.
WITH wanted AS (
  SELECT palette_id, seed FROM palettes WHERE seed IN (SELECT unnest($seeds))
),
answered AS (
  SELECT palette_id, count(*) AS responses, count(DISTINCT model_id) AS models
  FROM chosen_responses SEMI JOIN wanted USING (palette_id)
  WHERE ok
  GROUP BY palette_id
),
counted AS (
  SELECT palette_id, category, tag_id, count(*) AS votes
  FROM chosen_facts SEMI JOIN wanted USING (palette_id)
  GROUP BY palette_id, category, tag_id
)
SELECT seed, responses, models, CAST(category AS string) AS category, tag, votes
FROM wanted JOIN answered USING (palette_id)
LEFT JOIN counted USING (palette_id) LEFT JOIN tags USING (tag_id)

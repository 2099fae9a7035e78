-- Top tags: what was given most often, over all categories or within each.
-- One row per (category, tag): place from 1, votes in answers, palettes, models, share of all answers 0 to 1.
-- Needs chosen_facts, chosen_responses and count_models; $category and $limit may be null.
WITH counted AS (
  SELECT category, tag_id, count(*) AS votes
  FROM chosen_facts WHERE $category IS NULL OR category = $category
  GROUP BY category, tag_id
),
ranked AS (
  SELECT category, tag_id, tag, votes, row_number() OVER (
    PARTITION BY CASE WHEN $per_category THEN category END
    ORDER BY votes DESC, CAST(category AS string), tag
  ) AS place
  FROM counted JOIN tags USING (tag_id)
),
top AS (
  SELECT * FROM ranked WHERE $limit IS NULL OR place <= $limit
),
spread AS (
  SELECT category, tag_id, count(DISTINCT palette_id) AS palettes, count_models(model_id) AS models
  FROM chosen_facts JOIN top USING (category, tag_id)
  GROUP BY category, tag_id
),
answered AS (
  SELECT count(*) AS responses FROM chosen_responses WHERE ok
)
SELECT place, CAST(category AS string) AS category, tag, votes, palettes, models,
       votes / CAST(responses AS double) AS share
FROM top JOIN spread USING (category, tag_id) CROSS JOIN answered
ORDER BY CASE WHEN $per_category THEN CAST(category AS string) END, place

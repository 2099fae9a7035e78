-- Accuracy of each model: how much of what it said the colours say too.
-- One row per (provider, model, category): responses in answers, said (tags given), hits (of these,
-- true ones) and due (true tags that the answers could have given), so precision = hits / said and
-- recall = hits / due. Palettes without truth are left out.
-- Needs chosen_facts, chosen_responses, truth (palette_id, category, tag_id); $categories.
WITH known AS (
  SELECT DISTINCT palette_id FROM truth
),
answered AS (
  SELECT palette_id, model_id, count(*) AS responses
  FROM chosen_responses WHERE ok AND palette_id IN (SELECT palette_id FROM known)
  GROUP BY palette_id, model_id
),
asked AS (
  SELECT model_id, category, sum(responses) AS responses
  FROM answered CROSS JOIN (SELECT unnest($categories) AS category) AS categories
  GROUP BY model_id, category
),
due AS (
  SELECT model_id, category, sum(responses) AS due
  FROM answered JOIN truth USING (palette_id)
  GROUP BY model_id, category
),
given AS (
  SELECT palette_id, model_id, CAST(category AS string) AS category, tag_id, count(*) AS votes
  FROM chosen_facts
  WHERE category IN (SELECT unnest($categories))
    AND palette_id IN (SELECT palette_id FROM known)
  GROUP BY palette_id, model_id, category, tag_id
),
judged AS (
  SELECT model_id, given.category, sum(votes) AS said,
         sum(CASE WHEN truth.tag_id IS NULL THEN 0 ELSE votes END) AS hits
  FROM given LEFT JOIN truth USING (palette_id, category, tag_id)
  GROUP BY model_id, given.category
)
SELECT provider, model, category, CAST(responses AS bigint) AS responses,
       CAST(coalesce(said, 0) AS bigint) AS said, CAST(coalesce(hits, 0) AS bigint) AS hits,
       CAST(coalesce(due, 0) AS bigint) AS due
FROM asked
LEFT JOIN judged USING (model_id, category)
LEFT JOIN due USING (model_id, category)
JOIN models USING (model_id)
ORDER BY category, provider, model

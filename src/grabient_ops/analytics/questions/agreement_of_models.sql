-- Which models gave the same tags: how many (palette, tag) pairs each set of models shares.
-- One row per (category, present, models): present are the models that answered the palette, models
-- those of them that gave the tag in any run, both as bits (1 << model_id); tags counts the pairs.
-- Needs chosen_facts and chosen_responses; asked for ranges of palette ids, $first to $last, whose
-- rows are added up.
WITH present AS (
  SELECT palette_id, bit_or(CAST(1 AS bigint) << model_id) AS present
  FROM chosen_responses WHERE ok AND palette_id BETWEEN $first AND $last
  GROUP BY palette_id
),
given AS (
  SELECT palette_id, category, tag_id, bit_or(CAST(1 AS bigint) << model_id) AS models
  FROM chosen_facts WHERE palette_id BETWEEN $first AND $last
  GROUP BY palette_id, category, tag_id
)
SELECT CAST(category AS string) AS category, present, models, count(*) AS tags
FROM given JOIN present USING (palette_id)
GROUP BY category, present, models

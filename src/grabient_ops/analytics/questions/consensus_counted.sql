-- Consensus of many palettes by their ids: how many answers of each palette gave each tag.
-- One row per (palette_id, field_tag), in no order: field_tag is a place in $fields, from 1, times
-- 2**32, plus a tag_id; votes and responses in answers, models in models.
-- Needs chosen_facts, chosen_responses and count_models; asked once for each range of palette ids,
-- $first to $last, so that its hash table stays in the cache however many palettes there are. It
-- hashes two integers, which takes a fifth less time than with a text between them.
WITH answered AS (
  SELECT palette_id, count(*) AS responses
  FROM chosen_responses WHERE ok AND palette_id BETWEEN $first AND $last
  GROUP BY palette_id
),
counted AS (
  SELECT palette_id,
         (CAST(list_position($fields, category) AS bigint) << 32) | tag_id AS field_tag,
         count(*) AS votes, count_models(model_id) AS models
  FROM chosen_facts WHERE palette_id BETWEEN $first AND $last
  GROUP BY palette_id, field_tag
)
SELECT palette_id, field_tag, votes, responses, models
FROM counted JOIN answered USING (palette_id)
WHERE votes >= $min_share * responses

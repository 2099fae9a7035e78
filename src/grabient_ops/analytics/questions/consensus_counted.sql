-- Consensus of many palettes by their ids: how many answers of each palette gave each tag.
-- One row per (palette_id, field, tag_id), in no order: field is a place in $fields, from 1; votes
-- and responses in answers, models in models.
-- Needs chosen_facts, chosen_responses and count_models; asked once for each range of palette ids,
-- $first to $last, so that its hash table stays in the cache however many palettes there are. It
-- hashes two integers, one of them a field and a tag, which takes a fifth less time than three. They
-- are told apart at the end: joins on plain columns are estimated well, those on parts are not.
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
SELECT palette_id, CAST(field_tag >> 32 AS int) AS field,
       CAST(field_tag & 4294967295 AS int) AS tag_id, CAST(votes AS int) AS votes,
       CAST(responses AS int) AS responses, CAST(models AS int) AS models
FROM counted JOIN answered USING (palette_id)
WHERE votes >= $min_share * responses

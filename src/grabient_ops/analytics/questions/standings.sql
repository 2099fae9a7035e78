-- Standings: the tags of each palette that half of its answers gave, or may come to give.
-- One row per (palette_id, field_tag), in no order: field_tag is a place in $fields, from 1, times
-- 2**32, plus a tag_id; votes and responses in answers. Left out are tags that would not have half
-- of all answers even if $asked further ones gave them; a palette without any other has one row
-- with field_tag 0 and no votes.
-- Needs chosen_facts and chosen_responses; asked once for each range of palette ids, $first to
-- $last, so that memory stays flat.
WITH answered AS (
  SELECT palette_id, count(*) AS responses
  FROM chosen_responses WHERE ok AND palette_id BETWEEN $first AND $last
  GROUP BY palette_id
),
counted AS (
  SELECT palette_id,
         (CAST(list_position($fields, category) AS bigint) << 32) | tag_id AS field_tag,
         count(*) AS votes
  FROM chosen_facts WHERE palette_id BETWEEN $first AND $last
  GROUP BY palette_id, field_tag
),
near AS (
  SELECT palette_id, field_tag, votes
  FROM counted JOIN answered USING (palette_id)
  WHERE 2 * votes + $asked >= responses
)
SELECT palette_id, coalesce(field_tag, 0) AS field_tag, coalesce(votes, 0) AS votes, responses
FROM answered LEFT JOIN near USING (palette_id)

-- Difference of two prompt versions: how much more often each tag was given under the second.
-- One row per (category, tag) with at least $min_votes votes in both together: votes and responses
-- in answers, palettes in all, spread = variance of the difference of the two shares, palettes
-- being the sampling units: answers to one palette resemble each other, so they are no independent
-- draws (Taylor linearisation of a ratio, clusters = palettes; pairing is taken into account).
-- Needs chosen_facts and chosen_responses; $old and $new are prompt_ids.
WITH answered AS (
  SELECT palette_id, CAST(count(*) FILTER (WHERE prompt_id = $old) AS double) AS old_answers,
         CAST(count(*) FILTER (WHERE prompt_id = $new) AS double) AS new_answers
  FROM chosen_responses WHERE ok AND prompt_id IN ($old, $new)
  GROUP BY palette_id
),
total AS (
  SELECT sum(old_answers) AS old_n, sum(new_answers) AS new_n, count(*) AS palettes
  FROM answered
),
weights AS (
  SELECT palette_id, old_answers / old_n AS old_weight, new_answers / new_n AS new_weight
  FROM answered CROSS JOIN total
),
squares AS (
  SELECT sum(old_weight * old_weight) AS old_old, sum(new_weight * new_weight) AS new_new,
         sum(old_weight * new_weight) AS old_new
  FROM weights
),
counted AS (
  SELECT palette_id, category, tag_id, count(*) FILTER (WHERE prompt_id = $old) AS old_votes,
         count(*) FILTER (WHERE prompt_id = $new) AS new_votes
  FROM chosen_facts WHERE prompt_id IN ($old, $new)
  GROUP BY palette_id, category, tag_id
),
moved AS (
  SELECT category, tag_id, old_votes, new_votes, old_weight, new_weight,
         old_votes / old_n - new_votes / new_n AS gap
  FROM counted JOIN weights USING (palette_id) CROSS JOIN total
),
summed AS (
  SELECT category, tag_id, sum(old_votes) AS old_votes, sum(new_votes) AS new_votes,
         sum(gap * gap) AS gap_gap, sum(gap * old_weight) AS gap_old,
         sum(gap * new_weight) AS gap_new
  FROM moved
  GROUP BY category, tag_id
  HAVING sum(old_votes + new_votes) >= $min_votes
),
shared AS (
  SELECT *, old_votes / old_n AS old_share, new_votes / new_n AS new_share
  FROM summed CROSS JOIN total CROSS JOIN squares
)
SELECT CAST(category AS string) AS category, tag, CAST(old_votes AS bigint) AS old_votes,
       CAST(old_n AS bigint) AS old_responses, CAST(new_votes AS bigint) AS new_votes,
       CAST(new_n AS bigint) AS new_responses,
       (gap_gap - 2 * old_share * gap_old + 2 * new_share * gap_new
         + old_share * old_share * old_old + new_share * new_share * new_new
         - 2 * old_share * new_share * old_new) * palettes / nullif(palettes - 1, 0) AS spread
FROM shared JOIN tags USING (tag_id)

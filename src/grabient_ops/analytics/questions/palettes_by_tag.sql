-- Which palettes were given a tag, in whatever category, those that agree most on it first.
-- One row per seed: votes are answers that gave it, responses all that could be read.
-- Needs chosen_facts, chosen_responses; $tag is normalised, $text part of a seed in lower case or "".
WITH said AS (
  SELECT palette_id, count(DISTINCT response_id) AS votes
  FROM chosen_facts SEMI JOIN (FROM tags WHERE tag = $tag) USING (tag_id)
  GROUP BY palette_id
),
heard AS (
  SELECT palette_id, count(*) AS responses
  FROM chosen_responses SEMI JOIN said USING (palette_id)
  WHERE ok
  GROUP BY palette_id
)
SELECT seed, votes, responses
FROM said JOIN heard USING (palette_id) JOIN palettes USING (palette_id)
WHERE contains(lower(seed), $text)
ORDER BY votes / responses DESC, votes DESC, seed

-- Which palettes were given a tag, in whatever category, those that agree most on it first.
-- One row per seed: votes are answers that gave it, responses all that could be read.
-- Needs the tables of a lake; $tag is normalised, $text a part of the seed in lower case or "";
-- $refined chooses the palettes that have, or have not, a refinement, or NULL.
WITH said AS (
  SELECT palette_id, count(DISTINCT response_id) AS votes
  FROM facts SEMI JOIN (FROM tags WHERE tag = $tag) USING (tag_id)
  GROUP BY palette_id
),
heard AS (
  SELECT palette_id, count(*) AS responses
  FROM responses SEMI JOIN said USING (palette_id)
  WHERE ok
  GROUP BY palette_id
)
SELECT seed, votes, responses
FROM said JOIN heard USING (palette_id) JOIN palettes USING (palette_id)
WHERE contains(lower(seed), $text)
  AND ($refined IS NULL OR $refined = (seed IN (SELECT seed FROM refined)))
ORDER BY votes / responses DESC, votes DESC, seed

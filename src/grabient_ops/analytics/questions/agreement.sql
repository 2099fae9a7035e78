-- Agreement of all answers: what Krippendorff's alpha is made of, for each category.
-- One row per category: palettes (with two answers or more), answers, and the observed and expected
-- disagreement of two answers, in tags.
-- Needs parts, the rows of agreement_parts.sql for all ranges of palettes.
WITH sizes AS (
  SELECT category, sum(palettes) AS palettes, sum(answers) AS answers
  FROM parts WHERE tag_id IS NULL
  GROUP BY category
),
per_tag AS (
  SELECT category, tag_id, CAST(sum(votes) AS double) AS votes, sum(split) AS split
  FROM parts WHERE tag_id IS NOT NULL
  GROUP BY category, tag_id
)
SELECT category, CAST(palettes AS bigint) AS palettes, CAST(answers AS bigint) AS answers,
       sum(split) / answers AS observed,
       sum(votes * (answers - votes)) / (CAST(answers AS double) * (answers - 1)) AS expected
FROM per_tag JOIN sizes USING (category)
GROUP BY category, palettes, answers
ORDER BY category

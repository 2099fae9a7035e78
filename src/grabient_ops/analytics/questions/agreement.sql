-- Agreement of all answers: what Krippendorff's alpha is made of, for each category.
-- One row per category: palettes (with two answers or more), answers, observed and expected
-- disagreement. Two answers differ by the number of tags that only one of them gave. Where an
-- answer is one word this is the nominal alpha; an answer without a word is missing there, while
-- an empty list is a legitimate answer.
-- Needs chosen_facts and chosen_responses; $words are the categories of one word, $lists the others.
WITH answered AS (
  SELECT palette_id, count(*) AS answers FROM chosen_responses WHERE ok GROUP BY palette_id
),
counted AS (
  SELECT palette_id, category, tag_id, count(*) AS votes
  FROM chosen_facts GROUP BY palette_id, category, tag_id
),
units AS (
  SELECT palette_id, CAST(category AS string) AS category, sum(votes) AS answers
  FROM counted WHERE category IN (SELECT unnest($words))
  GROUP BY palette_id, category HAVING sum(votes) >= 2
  UNION ALL
  SELECT palette_id, category, answers
  FROM answered CROSS JOIN (SELECT unnest($lists) AS category) AS lists
  WHERE answers >= 2
),
sizes AS (
  SELECT category, count(*) AS palettes, sum(answers) AS answers FROM units GROUP BY category
),
per_tag AS (
  SELECT units.category, tag_id, CAST(sum(votes) AS double) AS votes,
         sum(votes * (answers - votes) / CAST(answers - 1 AS double)) AS split
  FROM counted JOIN units
    ON units.palette_id = counted.palette_id AND units.category = CAST(counted.category AS string)
  GROUP BY units.category, tag_id
)
SELECT category, palettes, CAST(answers AS bigint) AS answers, sum(split) / answers AS observed,
       sum(votes * (answers - votes)) / (CAST(answers AS double) * (answers - 1)) AS expected
FROM per_tag JOIN sizes USING (category)
GROUP BY category, palettes, answers
ORDER BY category

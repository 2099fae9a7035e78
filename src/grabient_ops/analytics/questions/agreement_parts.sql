-- Agreement within a range of palettes: what agreement.sql adds up.
-- One row per (category, tag_id): votes in answers and split, the disagreement about the tag within
-- palettes; and one per category without tag_id: palettes (with two answers or more) and answers.
-- Two answers differ by the number of tags that only one of them gave. Where an answer is one word
-- this is the nominal measure; an answer without a word is missing there, while an empty list is a
-- legitimate answer.
-- Needs chosen_facts and chosen_responses; $words are the categories of one word, $lists the others;
-- asked for each range of palette ids, $first to $last.
WITH answered AS (
  SELECT palette_id, count(*) AS answers
  FROM chosen_responses WHERE ok AND palette_id BETWEEN $first AND $last
  GROUP BY palette_id
),
counted AS (
  SELECT palette_id, category, tag_id, count(*) AS votes
  FROM chosen_facts WHERE palette_id BETWEEN $first AND $last
  GROUP BY palette_id, category, tag_id
),
units AS (
  SELECT palette_id, CAST(category AS string) AS category, sum(votes) AS answers
  FROM counted WHERE category IN (SELECT unnest($words))
  GROUP BY palette_id, category HAVING sum(votes) >= 2
  UNION ALL
  SELECT palette_id, category, answers
  FROM answered CROSS JOIN (SELECT unnest($lists) AS category) AS lists
  WHERE answers >= 2
)
SELECT category, CAST(NULL AS integer) AS tag_id, count(*) AS palettes,
       CAST(sum(answers) AS bigint) AS answers, 0 AS votes, CAST(0 AS double) AS split
FROM units
GROUP BY category
UNION ALL
SELECT units.category, tag_id, 0, 0, CAST(sum(votes) AS bigint),
       sum(votes * (answers - votes) / CAST(answers - 1 AS double))
FROM counted JOIN units
  ON units.palette_id = counted.palette_id AND units.category = CAST(counted.category AS string)
GROUP BY units.category, tag_id

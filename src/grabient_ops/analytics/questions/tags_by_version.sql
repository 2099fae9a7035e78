-- Tags by prompt version: how often each of the most frequent tags was given under each version.
-- One row per (category, tag, prompt version): votes and responses in answers, share from 0 to 1;
-- a version in which nobody gave the tag has a row with 0 votes. Tags with most votes come first.
-- Needs chosen_facts and chosen_responses; $category and $limit (tags, not rows) may be null.
WITH counted AS (
  SELECT category, tag_id, prompt_id, count(*) AS votes
  FROM chosen_facts WHERE $category IS NULL OR category = $category
  GROUP BY category, tag_id, prompt_id
),
totals AS (
  SELECT category, tag_id, sum(votes) AS total FROM counted GROUP BY category, tag_id
),
ranked AS (
  SELECT category, tag_id, tag, row_number() OVER (
    ORDER BY total DESC, CAST(category AS string), tag
  ) AS place
  FROM totals JOIN tags USING (tag_id)
),
answered AS (
  SELECT prompt_id, count(*) AS responses FROM chosen_responses WHERE ok GROUP BY prompt_id
)
SELECT CAST(ranked.category AS string) AS category, tag, prompt_version,
       coalesce(votes, 0) AS votes, responses,
       coalesce(votes, 0) / CAST(responses AS double) AS share
FROM ranked CROSS JOIN answered JOIN prompts USING (prompt_id)
LEFT JOIN counted
  ON counted.category = ranked.category AND counted.tag_id = ranked.tag_id
 AND counted.prompt_id = answered.prompt_id
WHERE $limit IS NULL OR place <= $limit
ORDER BY place, prompt_version

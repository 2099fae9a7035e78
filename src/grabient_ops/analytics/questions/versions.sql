-- Prompt versions: how much was asked and answered under each.
-- One row per prompt version: responses (failed ones too), answered, palettes, models, runs,
-- tags_per_answer (mean, null without answers) and distinct_tags.
-- Needs chosen_facts and chosen_responses.
WITH asked AS (
  SELECT prompt_id, count(*) AS responses, count(*) FILTER (WHERE ok) AS answered,
         count(DISTINCT palette_id) AS palettes, count(DISTINCT model_id) AS models,
         count(DISTINCT run_number) AS runs
  FROM chosen_responses
  GROUP BY prompt_id
),
tag_counts AS (
  SELECT prompt_id, tag_id, count(*) AS votes FROM chosen_facts GROUP BY prompt_id, tag_id
),
given AS (
  SELECT prompt_id, sum(votes) AS facts, count(*) AS distinct_tags
  FROM tag_counts GROUP BY prompt_id
)
SELECT prompt_version, responses, answered, palettes, models, runs,
       coalesce(facts, 0) / CAST(nullif(answered, 0) AS double) AS tags_per_answer,
       coalesce(distinct_tags, 0) AS distinct_tags
FROM asked JOIN prompts USING (prompt_id) LEFT JOIN given USING (prompt_id)
ORDER BY prompt_version

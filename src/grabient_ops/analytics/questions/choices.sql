-- Choices: what the answers can be chosen by.
-- One row per (kind, value): kind is prompt, model, run or source; value is a prompt version,
-- `provider/model`, a run number as text, or `own` or another system.
-- Needs chosen_responses. By kind and value; runs by number.
WITH used AS (
  SELECT DISTINCT prompt_id, model_id, run_number FROM chosen_responses
),
choices AS (
  SELECT DISTINCT 'prompt' AS kind, prompt_version AS value, 0 AS run
  FROM used JOIN prompts USING (prompt_id)
  UNION ALL
  SELECT DISTINCT 'model', provider || '/' || model, 0 FROM used JOIN models USING (model_id)
  UNION ALL
  SELECT DISTINCT 'source', source, 0 FROM used JOIN models USING (model_id)
  UNION ALL
  SELECT DISTINCT 'run', CAST(run_number AS string), run_number FROM used
)
SELECT kind, value FROM choices ORDER BY kind, run, value

-- Errors: how the requests that brought no tags failed, for each model.
-- One row per (provider, model, error class): failed and responses (all of the model's, each attempt
-- counts) in answers, share = failed / responses from 0 to 1.
-- Needs chosen_responses.
WITH asked AS (
  SELECT model_id, count(*) AS responses FROM chosen_responses GROUP BY model_id
),
failures AS (
  SELECT model_id, error_class, count(*) AS failed
  FROM chosen_responses WHERE NOT ok
  GROUP BY model_id, error_class
)
SELECT provider, model, error_class, failed, responses,
       failed / CAST(responses AS double) AS share
FROM failures JOIN asked USING (model_id) JOIN models USING (model_id)
ORDER BY provider, model, failed DESC, error_class

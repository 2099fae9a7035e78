-- Usage and cost: tokens as billed, what they cost through the batch APIs and would have cost without.
-- One row per combination of $by (of provider, model, run_number, prompt_version; the others are
-- null): requests, answered, four token counts, cost_usd and standard_usd in USD (null when no price
-- is known) and unpriced (requests without a known price; both sums leave them out).
-- Needs chosen_responses and prices (USD per million tokens). Failed requests count: they are billed.
WITH used AS (
  SELECT model_id, model_returned, run_number, prompt_id, count(*) AS requests,
         count(*) FILTER (WHERE ok) AS answered, sum(input_tokens) AS input_tokens,
         sum(output_tokens) AS output_tokens, sum(cached_tokens) AS cached_tokens,
         sum(reasoning_tokens) AS reasoning_tokens
  FROM chosen_responses
  GROUP BY model_id, model_returned, run_number, prompt_id
),
priced AS (
  SELECT used.*, provider, models.model, prompt_version, input_tokens - cached_tokens AS fresh_tokens,
         CASE WHEN returned.model IS NULL THEN asked.input ELSE returned.input END AS input,
         CASE WHEN returned.model IS NULL THEN asked.cached_input ELSE returned.cached_input END
           AS cached_input,
         CASE WHEN returned.model IS NULL THEN asked.output ELSE returned.output END AS output,
         CASE WHEN returned.model IS NULL THEN asked.batch_input ELSE returned.batch_input END
           AS batch_input,
         CASE WHEN returned.model IS NULL THEN asked.batch_cached_input
           ELSE returned.batch_cached_input END AS batch_cached_input,
         CASE WHEN returned.model IS NULL THEN asked.batch_output ELSE returned.batch_output END
           AS batch_output
  FROM used JOIN models USING (model_id) JOIN prompts USING (prompt_id)
  LEFT JOIN prices AS asked USING (provider, model)
  LEFT JOIN prices AS returned
    ON returned.provider = models.provider AND returned.model = used.model_returned
),
costed AS (
  SELECT *, (fresh_tokens * batch_input + cached_tokens * batch_cached_input
             + output_tokens * batch_output) / 1e6 AS cost_usd,
         (fresh_tokens * input + cached_tokens * cached_input
           + output_tokens * output) / 1e6 AS standard_usd
  FROM priced
)
SELECT CASE WHEN list_contains($by, 'provider') THEN provider END AS provider,
       CASE WHEN list_contains($by, 'model') THEN model END AS model,
       CASE WHEN list_contains($by, 'run_number') THEN run_number END AS run_number,
       CASE WHEN list_contains($by, 'prompt_version') THEN prompt_version END AS prompt_version,
       CAST(sum(requests) AS bigint) AS requests, CAST(sum(answered) AS bigint) AS answered,
       CAST(sum(input_tokens) AS bigint) AS input_tokens,
       CAST(sum(output_tokens) AS bigint) AS output_tokens,
       CAST(sum(cached_tokens) AS bigint) AS cached_tokens,
       CAST(sum(reasoning_tokens) AS bigint) AS reasoning_tokens,
       sum(cost_usd) AS cost_usd, sum(standard_usd) AS standard_usd,
       CAST(sum(CASE WHEN cost_usd IS NULL THEN requests ELSE 0 END) AS bigint) AS unpriced
FROM costed
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4

-- Convergence: how much the consensus still moves when a further run comes in.
-- One row per (category, run): palettes (with answers in this run and in earlier ones), moved (sum
-- over them of the Jaccard distance between the tags that half of the answers gave up to the run
-- before and up to this run; 0 where both are empty) and changed (palettes whose set changed).
-- Needs chosen_facts and chosen_responses; asked for ranges of palette ids, $first to $last, whose
-- rows are added up.
WITH runs AS (
  SELECT DISTINCT run_number AS run FROM chosen_responses WHERE ok
),
answered AS (
  SELECT palette_id, run_number, count(*) AS answers
  FROM chosen_responses WHERE ok AND palette_id BETWEEN $first AND $last
  GROUP BY palette_id, run_number
),
sizes AS (
  SELECT palette_id, run, sum(answers) AS after_n,
         sum(answers) FILTER (WHERE run_number < run) AS before_n
  FROM answered JOIN runs ON run_number <= run
  GROUP BY palette_id, run
  HAVING max(run_number) = run AND min(run_number) < run
),
firsts AS (
  SELECT palette_id, min_by(answers, run_number) AS answers FROM answered GROUP BY palette_id
),
totals AS (
  SELECT palette_id, category, tag_id, count(*) AS votes
  FROM chosen_facts WHERE palette_id BETWEEN $first AND $last
  GROUP BY palette_id, category, tag_id
),
-- A tag with fewer votes in all runs than half of the first run's answers never has half of any.
frequent AS (
  SELECT palette_id, category, tag_id
  FROM totals JOIN firsts USING (palette_id)
  WHERE 2 * votes >= answers
),
counted AS (
  SELECT palette_id, category, tag_id, run_number, count(*) AS votes
  FROM chosen_facts JOIN frequent USING (palette_id, category, tag_id)
  WHERE palette_id BETWEEN $first AND $last
  GROUP BY palette_id, category, tag_id, run_number
),
judged AS (
  SELECT palette_id, category, run, 2 * sum(votes) >= any_value(after_n) AS is_after,
         2 * coalesce(sum(votes) FILTER (WHERE run_number < run), 0) >= any_value(before_n)
           AS is_before
  FROM counted JOIN sizes USING (palette_id)
  WHERE run_number <= run
  GROUP BY palette_id, category, tag_id, run
),
distances AS (
  SELECT palette_id, category, run,
         count(*) FILTER (WHERE is_before <> is_after) / CAST(count(*) AS double) AS distance
  FROM judged WHERE is_before OR is_after
  GROUP BY palette_id, category, run
),
moves AS (
  SELECT category, run, sum(distance) AS moved, count(*) FILTER (WHERE distance > 0) AS changed
  FROM distances
  GROUP BY category, run
),
compared AS (
  SELECT run, count(*) AS palettes FROM sizes GROUP BY run
)
SELECT categories.category, run, palettes, coalesce(moved, 0) AS moved,
       coalesce(changed, 0) AS changed
FROM compared CROSS JOIN (SELECT unnest($categories) AS category) AS categories
LEFT JOIN (SELECT CAST(category AS string) AS category, run, moved, changed FROM moves) AS moves
  USING (category, run)
ORDER BY categories.category, run

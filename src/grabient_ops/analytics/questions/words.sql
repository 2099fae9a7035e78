-- The words of one category of one word: what each model called each palette, and how often.
-- One row per (palette_id, model_id, word): word is a place in $words, from 0; votes in answers.
-- Needs chosen_facts; words outside $words are left out.
SELECT palette_id, model_id, list_position($words, tag) - 1 AS word, count(*) AS votes
FROM chosen_facts JOIN tags USING (tag_id)
WHERE category = $category AND tag IN (SELECT unnest($words))
GROUP BY palette_id, model_id, word

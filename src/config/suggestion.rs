//! The nearest right spelling of a word that is not known.

/// How alike two words must be (1 is equal) for one to be taken for the other mistyped.
const ALIKE: f64 = 0.6;

/// The candidate that is most like `word`, if one is like it.
pub fn nearest<S: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = S>) -> Option<S> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::normalized_damerau_levenshtein(&word, candidate.as_ref()), candidate)
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// "; did you mean X?", or nothing.
pub fn did_you_mean<S: AsRef<str>>(suggestion: Option<S>) -> String {
    suggestion.map_or(String::new(), |word| format!("; did you mean {}?", word.as_ref()))
}

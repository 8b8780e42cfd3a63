//! The nearest right spelling of a word that is not known.

/// How alike two words must be (1 is equal) for one to be taken for the other mistyped.
const ALIKE: f64 = 0.6;

/// The candidate that is most like `word`, if one is like it or has it for a part ("batch",
/// batch_size).
pub fn nearest<S: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = S>) -> Option<S> {
    let word = word.to_lowercase();
    let alike = |candidate: &str| {
        let alike = strsim::normalized_damerau_levenshtein(&word, candidate);
        let is_part = candidate.split('_').any(|part| part == word);
        if is_part { ALIKE + (1.0 - ALIKE) * alike } else { alike }
    };
    candidates
        .into_iter()
        .map(|candidate| (alike(candidate.as_ref()), candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// "; did you mean X?", or nothing.
pub fn did_you_mean<S: AsRef<str>>(suggestion: Option<S>) -> String {
    suggestion.map_or(String::new(), |word| format!("; did you mean {}?", word.as_ref()))
}

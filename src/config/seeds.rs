//! Seeds as people write them: `0`, `0,1,2`, `0-4`, `0,2,5-7`.

use crate::error::{BadInput, bad_input};

/// Seeds are kept in TOML, whose integers have 63 bits.
pub const MOST_SEED: u64 = i64::MAX as u64;

/// Most seeds of one list: more is a slip of the keyboard.
const MOST_SEEDS: u64 = 1000;

/// Reads a list of seeds and ranges of them, both ends included. The error says what is wrong, not
/// where it stands.
pub fn parse(text: &str) -> Result<Vec<u64>, BadInput> {
    let mut seeds = Vec::new();
    for part in text.split(',').map(str::trim) {
        let number = |text: &str| text.trim().parse::<u64>().ok().filter(|seed| *seed <= MOST_SEED);
        let (first, last) = match part.split_once('-') {
            None => (number(part), number(part)),
            Some((first, last)) => (number(first), number(last)),
        };
        let (Some(first), Some(last)) = (first, last) else {
            return Err(bad_input(format!(
                "{text}: write whole numbers up to {MOST_SEED} with commas, or ranges: for example 0,1,2 or 0-4"
            )));
        };
        if first > last {
            return Err(bad_input(format!("{part}: the range ends before it begins")));
        }
        if last - first >= MOST_SEEDS || seeds.len() as u64 + last - first >= MOST_SEEDS {
            return Err(bad_input(format!("{text}: more than {MOST_SEEDS} seeds")));
        }
        seeds.extend(first..=last);
    }
    let mut sorted = seeds.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(bad_input(format!("{text}: seed {} is given twice", pair[0]))),
        None => Ok(seeds),
    }
}

/// Seeds as [`parse`] reads them, in rising order: `0-4`, `0,2,5-7`.
pub fn shown(seeds: &[u64]) -> String {
    let mut sorted = seeds.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let runs = sorted.chunk_by(|one, next| one + 1 == *next);
    let text = runs.flat_map(|run| match run {
        [first, .., last] if last - first > 1 => vec![format!("{first}-{last}")],
        few => few.iter().map(u64::to_string).collect(),
    });
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_read_and_written_alike() {
        for (text, seeds) in [
            ("0", vec![0]),
            ("0-4", vec![0, 1, 2, 3, 4]),
            ("0,2,5-7", vec![0, 2, 5, 6, 7]),
            ("3,1", vec![3, 1]),
            (" 1 , 3 - 4 ", vec![1, 3, 4]),
            ("7-7", vec![7]),
            ("9223372036854775807", vec![MOST_SEED]),
        ] {
            assert_eq!(parse(text).unwrap(), seeds, "{text}");
        }
        for text in ["0-4", "0,2,5-7", "0,1", "9223372036854775806,9223372036854775807"] {
            assert_eq!(shown(&parse(text).unwrap()), text);
        }
        assert_eq!((shown(&[3, 1, 2]), shown(&[])), ("1-3".into(), String::new()));
    }

    #[test]
    fn what_is_no_list_of_seeds_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "write whole numbers"),
            ("0,,1", "write whole numbers"),
            ("-1", "write whole numbers"),
            ("1-", "write whole numbers"),
            ("0-2-4", "write whole numbers"),
            ("0..4", "write whole numbers"),
            ("1.5", "write whole numbers"),
            ("9223372036854775808", "write whole numbers"),
            ("4-0", "ends before it begins"),
            ("0-4,3", "seed 3 is given twice"),
            ("1,1", "seed 1 is given twice"),
            ("0-1000", "more than 1000 seeds"),
            ("0-9223372036854775807", "more than 1000 seeds"),
        ] {
            let message = parse(text).unwrap_err().0;
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}

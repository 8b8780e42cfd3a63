//! What the columns of a log of another program hold, as far as their names tell.

/// Which images an error is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// Those trained on.
    Training,
    /// Those tested on.
    Test,
}

/// What a column of errors holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Values {
    /// The share of images that are wrong.
    Error,
    /// The share of images that are right.
    Accuracy,
}

const ITERATION: [&str; 8] =
    ["iteration", "iterations", "iter", "iters", "step", "steps", "global step", "it"];
const EPOCH: [&str; 3] = ["epoch", "epochs", "ep"];
const TRAINING: [&str; 2] = ["train", "training"];
const TEST: [&str; 7] = ["test", "testing", "val", "valid", "validation", "eval", "evaluation"];
const ERROR: [&str; 3] = ["error", "err", "errors"];
const ACCURACY: [&str; 7] = ["accuracy", "acc", "acc1", "top1", "top", "prec", "prec1"];
/// A name with one of these is of something else than the top-1 error at that iteration.
const OTHER: [&str; 10] =
    ["loss", "top5", "acc5", "prec5", "5", "best", "std", "min", "max", "time"];

/// The words of a name, in lower case: `valAcc`, `val_acc` and `val/acc` are "val", "acc".
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let begins = letter.is_uppercase() && before.is_lowercase();
        if begins || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().expect("there is a word").extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

fn has(words: &[String], any: &[&str]) -> bool {
    words.iter().any(|word| any.contains(&word.as_str()))
}

/// What a column of this name holds: errors, unless its name speaks of accuracy.
pub fn values(name: &str) -> Values {
    let words = words(name);
    match has(&words, &ACCURACY) && !has(&words, &ERROR) {
        true => Values::Accuracy,
        false => Values::Error,
    }
}

/// The column that counts iterations, or else epochs; and whether it is epochs.
pub fn iterations(names: &[String]) -> Option<(&str, bool)> {
    let of = |known: &[&str]| {
        let mut found = names.iter().filter(|name| known.contains(&words(name).join(" ").as_str()));
        found.next().map(String::as_str)
    };
    let epochs = || of(&EPOCH).map(|name| (name, true));
    of(&ITERATION).map(|name| (name, false)).or_else(epochs)
}

/// Whether the name is of epochs.
pub fn is_epoch(name: &str) -> bool {
    has(&words(name), &EPOCH)
}

/// The column that holds the errors of `images`, where the names leave one only. In a log that is
/// `only` of these images their names need not say so.
pub fn errors(names: &[String], images: Images, only: bool) -> Option<&str> {
    let candidates = |own: &dyn Fn(&[String]) -> bool| -> Vec<&str> {
        let fits = |name: &&String| {
            let words = words(name);
            (has(&words, &ERROR) || has(&words, &ACCURACY)) && !has(&words, &OTHER) && own(&words)
        };
        names.iter().filter(fits).map(String::as_str).collect()
    };
    let mut found = match images {
        Images::Training => candidates(&|words| has(words, &TRAINING)),
        Images::Test => candidates(&|words| has(words, &TEST)),
    };
    // As Keras has them: "accuracy" beside "val_accuracy".
    let beside_test =
        images == Images::Training && !candidates(&|words| has(words, &TEST)).is_empty();
    if found.is_empty() && (only || beside_test) {
        found = candidates(&|words| !has(words, &TRAINING) && !has(words, &TEST));
    }
    // An error before the accuracy that says the same, the test set before a validation set.
    for prefer in [&ERROR[..], &TEST[..2]] {
        if found.len() > 1 && found.iter().any(|name| has(&words(name), prefer)) {
            found.retain(|name| has(&words(name), prefer));
        }
    }
    match found[..] {
        [name] => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_by_the_names_that_programs_give_them() {
        for (names, iteration, training, test) in [
            (
                "iteration train_error test_error",
                Some(("iteration", false)),
                "train_error",
                "test_error",
            ),
            (
                "epoch accuracy loss val_accuracy val_loss",
                Some(("epoch", true)),
                "accuracy",
                "val_accuracy",
            ),
            ("epoch step trainAcc valAcc valLoss", Some(("step", false)), "trainAcc", "valAcc"),
            ("Accuracy/train Accuracy/test Loss/train", None, "Accuracy/train", "Accuracy/test"),
            (
                "step train_err train_acc val_acc test_acc",
                Some(("step", false)),
                "train_err",
                "test_acc",
            ),
            (
                "iter train_prec@1 train_prec@5 test_prec@1 best_test_prec@1",
                Some(("iter", false)),
                "train_prec@1",
                "test_prec@1",
            ),
            ("iteration split loss error top5_error", Some(("iteration", false)), "", ""),
        ] {
            let names: Vec<String> = names.split(' ').map(str::to_string).collect();
            let found = |images| errors(&names, images, false).unwrap_or_default();
            assert_eq!(iterations(&names), iteration, "{names:?}");
            assert_eq!(
                (found(Images::Training), found(Images::Test)),
                (training, test),
                "{names:?}"
            );
        }
        let own = ["iteration", "loss", "error"].map(str::to_string);
        assert_eq!(errors(&own, Images::Test, true), Some("error"));
        assert_eq!(values("top1_error"), Values::Error);
        assert_eq!(values("Top-1 accuracy"), Values::Accuracy);
    }
}

//! Keys and values of a recipe as people write them: `--set key=value`, and experiment files.

use crate::config::dataset_name::DatasetName;
use crate::config::kernels::Kernels;
use crate::config::recipe::{Recipe, table_of};
use crate::config::suggestion::{did_you_mean, nearest};
use crate::error::{BadInput, bad_input};

/// Other names of keys, as other programs call them.
pub const ALIASES: [(&str, &str); 5] = [
    ("lr", "learning_rate"),
    ("lr_schedule", "lower_rate"),
    ("lr_gamma", "learning_rate_factor"),
    ("warmup_lr", "warmup_learning_rate"),
    ("micro_batch_size", "group_size"),
];

/// A key as the record has it.
pub fn canonical_key(key: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, key)| key)
}

/// Reads "key=value" settings as TOML values; a value that is no TOML is taken as a bare word.
pub fn parse_settings(settings: &[String]) -> Result<toml::Table, BadInput> {
    let mut table = toml::Table::new();
    for setting in settings {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| bad_input(format!("--set {setting}: write it as KEY=VALUE")))?;
        let (key, value) = (canonical_key(key.trim()), value.trim());
        let parsed = parse_value(key, value);
        let parsed = check_setting(key, parsed)
            .map_err(|reason| bad_input(format!("--set {setting}: {reason}")))?;
        if table.insert(key.to_string(), parsed).is_some() {
            return Err(bad_input(format!("--set {key} is given twice")));
        }
    }
    Ok(table)
}

/// A value as TOML, a list also without its brackets ("10,20"), else a bare word.
fn parse_value(key: &str, value: &str) -> toml::Value {
    let read = |text: &str| format!("value = {text}").parse::<toml::Table>().ok()?.remove("value");
    let is_list = matches!(all_keys().get(key), Some(toml::Value::Array(_)));
    let list = || read(&format!("[{value}]")).filter(|_| is_list && !value.starts_with('['));
    list().or_else(|| read(value)).unwrap_or_else(|| toml::Value::String(value.to_string()))
}

/// Why there is no such key, and which one may be meant.
pub fn unknown_key(key: &str) -> String {
    if matches!(key, "epoch" | "epochs") {
        return format!(
            "{key}: no such key: the length of training is given in iterations of one batch each; an epoch of CIFAR-10 is 391 iterations at batch 128"
        );
    }
    let keys = keys();
    let known = keys.iter().map(String::as_str).chain(ALIASES.iter().map(|(alias, _)| *alias));
    let meant = did_you_mean(nearest(key, known));
    format!("{key}: no such key{meant}; the keys are {}", keys.join(", "))
}

/// The value as the key's type has it (a rate of 1 is as good as 1.0), or why the key cannot have
/// it.
pub fn check_setting(key: &str, value: toml::Value) -> Result<toml::Value, String> {
    let value = match (value, all_keys().get(key)) {
        (toml::Value::Integer(whole), Some(toml::Value::Float(_))) => {
            toml::Value::Float(whole as f64)
        }
        (value, Some(_)) => value,
        (_, None) => return Err(unknown_key(key)),
    };
    let alone = toml::Table::from_iter([(key.to_string(), value.clone())]);
    match alone.try_into::<Recipe>() {
        Ok(_) => Ok(value),
        Err(error) => {
            Err(error.message().lines().next().unwrap_or("is not a value for this key").to_string())
        }
    }
}

/// Milestones that are stated keep their place in a run of other `iterations` than those stated
/// beside them, or `base_iterations`.
pub fn scale_milestones(given: &mut toml::Table, iterations: u64, base_iterations: u64) {
    let stated = given
        .get("iterations")
        .and_then(toml::Value::as_integer)
        .unwrap_or(base_iterations as i64)
        .max(1);
    if let Some(toml::Value::Array(milestones)) = given.get_mut("milestones") {
        for milestone in milestones {
            if let toml::Value::Integer(value) = milestone {
                *value = (i128::from(*value) * i128::from(iterations) / i128::from(stated)) as i64;
            }
        }
    }
}

/// The keys of a recipe, in their order in the record.
pub fn keys() -> Vec<String> {
    all_keys().keys().cloned().collect()
}

/// The recipes whose keys are all there are.
fn all_keys() -> toml::Table {
    // A key that the record leaves out at its default is a key.
    let recipe = Recipe::for_dataset(DatasetName::Imagenet);
    table_of(&Recipe { gradient_norms_every: 1, kernels: Kernels::Own, ..recipe })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &[&str]) -> Result<toml::Table, String> {
        let settings: Vec<String> = settings.iter().map(|text| text.to_string()).collect();
        parse_settings(&settings).map_err(|error| error.0)
    }

    #[test]
    fn the_fields_names_of_keys_are_understood_and_lists_need_no_brackets() {
        let table = set(&["lr=1", "lr_schedule=plateau", "milestones=10,20"]).unwrap();
        assert_eq!(table["learning_rate"].as_float(), Some(1.0));
        assert_eq!(table["lower_rate"].as_str(), Some("plateau"));
        assert_eq!(table["milestones"].as_array().map(Vec::len), Some(2));
        assert_eq!(set(&["milestones=10"]).unwrap()["milestones"].as_array().unwrap().len(), 1);
        assert_eq!(set(&["milestones=[]"]).unwrap()["milestones"].as_array().unwrap().len(), 0);
        assert!(set(&["lr=1", "learning_rate=1"]).unwrap_err().contains("given twice"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_right_spelling() {
        for (text, part) in [
            ("learnin_rate=1", "did you mean learning_rate?"),
            ("milestone=1", "did you mean milestones?"),
            ("lr_shedule=plateau", "did you mean lr_schedule?"),
            ("batch=64", "did you mean batch_size?"),
            ("epochs=3", "given in iterations"),
        ] {
            let message = set(&[text]).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        assert!(!set(&["colour=red"]).unwrap_err().contains("did you mean"));
    }
}

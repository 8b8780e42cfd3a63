//! Claims that an analysis of trained nets decides: one number from a run's `analysis/` folder,
//! against that of another network's run of the same seed, or against a bound.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::analysis::kind::Kind;
use crate::analysis::record::{Analysis, AnalysisRecord, rows_as_written, toml_name, verify};
use crate::config::claims::{Expectation, Measure, Statistic};
use crate::config::network_name::NetworkName;
use crate::logs::collection::LoggedRun;
use crate::report::claims::errors::complete;
use crate::report::claims::ruling::Ruling;
use crate::report::claims::scale::{Observation, Outcome, Scale, verdict};
use crate::report::protocol::Protocol;

/// The folder in a run's that analyses are kept in.
const FOLDER: &str = "analysis";

/// The verdict: every seed must agree.
pub fn measured(measure: &Measure, protocols: &[Protocol], results: &Path) -> Ruling {
    let mut observations = Vec::new();
    for protocol in protocols {
        let Some(scale) = Scale::of(protocol, measure.family.into()) else { continue };
        let stand_ins = measure.small.iter().filter(|_| scale == Scale::Small);
        let networks = std::iter::once(&measure.network).chain(stand_ins);
        let observed = networks.enumerate().find_map(|(place, &network)| {
            let reference = measure.references.get(place).copied();
            observe(measure, network, reference, protocol, scale, results)
        });
        observations.extend(observed);
    }
    verdict(&observations)
}

fn observe(
    measure: &Measure,
    network: NetworkName,
    reference: Option<NetworkName>,
    protocol: &Protocol,
    scale: Scale,
    results: &Path,
) -> Option<Observation> {
    let number = |run: &LoggedRun| number_of(measure, &results.join(&run.path)).ok();
    let path = |run: &LoggedRun| run.path.display().to_string();
    let (mut signs, mut numbers, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    let references = reference.map(|name| complete(protocol, name));
    for run in complete(protocol, network) {
        let Some(ours) = number(run) else { continue };
        let other = match (&references, measure.bound) {
            (Some(others), _) => {
                let Some(twin) = others.iter().find(|other| other.seed == run.seed) else {
                    continue;
                };
                let Some(theirs) = number(twin) else { continue };
                runs.push(path(twin));
                theirs
            }
            (None, Some(bound)) => bound,
            (None, None) => continue,
        };
        runs.push(path(run));
        signs.push(ours.total_cmp(&other));
        let against = reference.map_or("bound".to_string(), |name| name.to_string());
        numbers.push(format!("{network} {ours:.3}, {against} {other:.3} (seed {})", run.seed));
    }
    let wanted = match measure.expect {
        Expectation::Above => std::cmp::Ordering::Greater,
        Expectation::Below => std::cmp::Ordering::Less,
        Expectation::Equal => std::cmp::Ordering::Equal,
    };
    let agreeing = signs.iter().filter(|sign| **sign == wanted).count();
    let outcome = match (signs.len(), agreeing) {
        (0, _) => return None,
        (_, 0) => Outcome::Opposes,
        (all, agreeing) if all == agreeing => Outcome::Supports,
        _ => Outcome::Undecided,
    };
    let numbers = format!("{}: {}", protocol.title(), numbers.join("; "));
    Some(Observation { scale, outcome, numbers, runs })
}

/// The number of one run.
fn number_of(measure: &Measure, run: &Path) -> Result<f64> {
    match (&measure.summary, &measure.column, measure.statistic) {
        (Some(key), ..) => of_summary(&measure.file, key, run),
        (None, Some(column), Some(statistic)) => of_rows(measure, column, statistic, run),
        _ => bail!("neither a key nor a column"),
    }
}

/// An analysis of the run in the folder `run` that came to its end and is as it was then.
pub fn finished(kind: Kind, run: &Path) -> Option<Analysis> {
    let folder = run.join(FOLDER);
    let record = AnalysisRecord::read(&folder.join(toml_name(kind))).ok()?;
    let (analysis, mut problems) = (Analysis { folder, record }, Vec::new());
    verify(&analysis, &mut problems);
    (problems.is_empty() && analysis.record.complete).then_some(analysis)
}

/// A number of `[summary]`. An analysis that was stopped before its end has no say.
fn of_summary(file: &str, key: &str, run: &Path) -> Result<f64> {
    let record = AnalysisRecord::read(&run.join(FOLDER).join(format!("{file}.toml")))?;
    ensure!(record.complete, "stopped before its end");
    let value = record.summary.get(key).context("no such key")?;
    let number = value.as_float().or(value.as_integer().map(|integer| integer as f64));
    number.filter(|number| number.is_finite()).context("not a number")
}

/// A column's rows, reduced to one number.
fn of_rows(measure: &Measure, column: &str, statistic: Statistic, run: &Path) -> Result<f64> {
    let bytes = rows_as_written(&run.join(FOLDER), &measure.file)?;
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    let header = reader.headers()?.clone();
    let place = |column: &str| header.iter().position(|name| name == column);
    let column = place(column).context("no such column")?;
    let (mut values, mut baseline) = (Vec::new(), None);
    for record in reader.records() {
        let record = record?;
        let is = |wanted: &std::collections::BTreeMap<String, String>| {
            wanted.iter().all(|(key, value)| {
                place(key).and_then(|place| record.get(place)) == Some(value.as_str())
            })
        };
        let Some(Ok(value)) = record.get(column).map(str::parse::<f64>) else { continue };
        if !measure.minus.is_empty() && is(&measure.minus) {
            baseline = baseline.or(Some(value));
        }
        if is(&measure.rows) {
            values.push(value);
        }
    }
    let subtracted = match measure.minus.is_empty() {
        true => 0.0,
        false => baseline.context("no row to compare with")?,
    };
    Ok(reduced(values, statistic).context("no such row")? - subtracted)
}

fn reduced(mut values: Vec<f64>, statistic: Statistic) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    Some(match statistic {
        Statistic::Mean => values.iter().sum::<f64>() / (count > 0).then_some(count)? as f64,
        Statistic::Median => {
            let upper = *values.get(count / 2)?;
            if count.is_multiple_of(2) { (values[count / 2 - 1] + upper) / 2.0 } else { upper }
        }
        Statistic::Largest => *values.last()?,
    })
}

/// The rule in words.
pub fn rule(measure: &Measure) -> String {
    let statistic = match measure.statistic {
        Some(Statistic::Mean) => "mean ",
        Some(Statistic::Median) => "median ",
        Some(Statistic::Largest) => "largest ",
        None => "",
    };
    let side = match measure.expect {
        Expectation::Above => "above",
        Expectation::Below => "below",
        Expectation::Equal => "equal to",
    };
    let change = if measure.minus.is_empty() { "" } else { "increase of " };
    let ending = if measure.summary.is_some() { "toml" } else { "csv" };
    let name = measure.summary.as_ref().or(measure.column.as_ref()).map_or("", String::as_str);
    let other = measure.bound.map_or("the other network's".to_string(), |bound| bound.to_string());
    format!(
        "{statistic}{change}{name} of {}.{ending} is {side} {other}, for every seed",
        measure.file
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::images::Split;
    use crate::config::claims::{Evidence, FamilyName, claims};
    use crate::config::dataset_name::DatasetName;
    use crate::config::recipe::Normalize;
    use crate::dataset::data::DataStatus;
    use crate::records::dataset_record::DatasetRecord;
    use crate::records::provenance::Provenance;

    /// A record of other rows.
    const RECORD: &str = r#"
kind = "lesion"
complete = true
network = "resnet-56"
weights_sha256 = "0"
normalize = "pixel-mean"
split = "test"
images = 1000
seed = 0
seconds = 1.0
[files]
"lesion.csv" = "0"
[dataset]
name = "cifar10"
status = "other"
fingerprint = "0"
training_images = 50000
test_images = 10000
[provenance]
version = "0.1.0"
git_revision = "unknown"
git_dirty = false
libtorch = "2.11.0"
started = "2026-01-31T12:00:00Z"
updated = "2026-01-31T12:00:00Z"
[provenance.machine]
device = "cpu"
processor = "one"
cores = 2
threads = 2
memory_gib = 4.0
"#;

    #[test]
    fn a_lesions_median_increase_is_taken_from_the_rows_that_it_is_of() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("analysis")).unwrap();
        let rows = "test,block,count,sample,tau,wrong,error,loss\nwhole,,0,,,85,8.5,0.3\n\
                    single,layer1.0,1,,,230,23.0,1\nsingle,layer1.1,1,,,211,21.1,1\n\
                    single,layer1.2,1,,,371,37.1,1\nrandom,,1,0,,900,90.0,5\n";
        std::fs::write(folder.path().join("analysis/lesion.csv"), rows).unwrap();
        let claim = claims().iter().find(|claim| claim.id == "a-deleted-block-hardly-matters");
        let Evidence::Analysis(measure) = &claim.unwrap().evidence else { panic!("{claim:?}") };
        let found = number_of(measure, folder.path()).unwrap();
        assert!((found - (23.0 - 8.5)).abs() < 1e-9, "{found}");
        // Not those that are on record.
        std::fs::write(folder.path().join("analysis/lesion.toml"), RECORD).unwrap();
        let error = number_of(measure, folder.path()).unwrap_err().to_string();
        assert!(error.contains("lesion.csv: is not as it was written"), "{error}");
        let other = Measure { file: "responses".to_string(), ..measure.clone() };
        assert!(number_of(&other, folder.path()).is_err());
    }

    /// The record of a finished or stopped analysis with one number in its summary.
    fn record(complete: bool) -> AnalysisRecord {
        AnalysisRecord {
            kind: Kind::Lesion,
            complete,
            network: NetworkName::residual(20),
            weights_sha256: String::new(),
            normalize: Normalize::PixelMean,
            split: Split::Test,
            images: 1,
            seed: 0,
            seconds: 1.0,
            settings: toml::Table::new(),
            summary: toml::Table::from_iter([
                ("blocks_needed".to_string(), toml::Value::Integer(7)),
                ("slope".to_string(), toml::Value::Float(-0.5)),
                ("infinite".to_string(), toml::Value::Float(f64::INFINITY)),
            ]),
            files: Default::default(),
            dataset: DatasetRecord {
                title: None,
                class_names: Vec::new(),
                test_percent: None,
                name: DatasetName::Cifar10,
                status: DataStatus::Official,
                fingerprint: String::new(),
                training_images: 1,
                test_images: 1,
                classes: 10,
            },
            provenance: Provenance::now(tch::Device::Cpu),
        }
    }

    #[test]
    fn a_number_of_the_summary_is_taken_from_the_record_of_an_analysis_that_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let analysis = folder.path().join("analysis");
        std::fs::create_dir(&analysis).unwrap();
        let measure = |key: &str| Measure {
            file: "lesion".to_string(),
            summary: Some(key.to_string()),
            column: None,
            statistic: None,
            rows: Default::default(),
            minus: Default::default(),
            family: FamilyName::Cifar,
            network: NetworkName::residual(20),
            small: Vec::new(),
            references: Vec::new(),
            bound: Some(9.0),
            expect: Expectation::Below,
        };
        let number = |key: &str| number_of(&measure(key), folder.path()).ok();
        assert_eq!(number("slope"), None);
        record(true).write::<u8>(&analysis, &[]).unwrap();
        assert_eq!(number("slope"), Some(-0.5));
        assert_eq!(number("blocks_needed"), Some(7.0));
        assert_eq!(number("infinite"), None);
        assert_eq!(number("depth"), None);
        assert_eq!(rule(&measure("slope")), "slope of lesion.toml is below 9, for every seed");
        record(false).write::<u8>(&analysis, &[]).unwrap();
        assert_eq!(number("slope"), None);
    }

    #[test]
    fn a_median_of_an_even_count_is_the_mean_of_two() {
        assert_eq!(reduced(vec![4.0, 1.0, 3.0, 2.0], Statistic::Median), Some(2.5));
        assert_eq!(reduced(Vec::new(), Statistic::Mean), None);
    }
}

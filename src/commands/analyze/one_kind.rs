//! One kind of analysis: computed, written, and told.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::analysis::images::Split;
use crate::analysis::kind::Kind;
use crate::analysis::record::{AnalysisRecord, Outcome, csv_name};
use crate::analysis::subject::Subject;
use crate::analysis::{curvature, generalisation, gradients, landscape, lesion, paths, responses};
use crate::commands::analyze::arguments::Arguments;
use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::console::output::print;
use crate::records::dataset_record::DatasetRecord;
use crate::records::provenance::Provenance;

/// What one kind is computed of and for.
pub struct Context<'a> {
    /// The command line.
    pub arguments: &'a Arguments,
    /// The net and its data.
    pub subject: &'a Subject<'a>,
    /// Where the files go.
    pub out: Option<&'a Path>,
    /// SHA-256 of the file with the weights.
    pub weights_sha256: &'a str,
    /// The kind.
    pub kind: Kind,
}

/// What `--json` prints.
#[derive(Serialize)]
pub struct Output {
    kind: Kind,
    network: NetworkName,
    dataset: DatasetName,
    split: Split,
    images: u64,
    complete: bool,
    settings: toml::Table,
    summary: toml::Table,
    rows: serde_json::Value,
}

impl Context<'_> {
    /// Computes the kind, writes its files, and says what was found. Nothing where a signal came
    /// before there was anything.
    pub fn analyse(&self) -> Result<(Option<Output>, bool)> {
        let (start, subject) = (Instant::now(), self.subject);
        match self.kind {
            Kind::Responses => self.close(start, responses::analyse(subject)?, responses::headline),
            Kind::Lesion => {
                let outcome = lesion::analyse(subject, self.arguments.lesion.settings())?;
                self.close(start, outcome, lesion::headline)
            }
            Kind::Gradients => {
                let outcome = gradients::compute::analyse(subject)?;
                self.close(start, outcome, gradients::compute::headline)
            }
            Kind::Paths => {
                let outcome = paths::analyse(subject, self.arguments.paths.settings())?;
                self.close(start, outcome, paths::headline)
            }
            Kind::Landscape => self.landscape(start),
            Kind::Curvature => {
                let settings = self.arguments.curvature.settings();
                self.close(start, curvature::analyse(subject, settings)?, curvature::headline)
            }
            Kind::Generalisation => {
                let outcome = generalisation::analyse(subject)?;
                self.close(start, outcome, generalisation::headline)
            }
        }
    }

    /// The points that are done are kept until all are.
    fn landscape(&self, start: Instant) -> Result<(Option<Output>, bool)> {
        let subject = self.subject;
        let (split, _) = subject.chosen(self.kind);
        let identity = format!(
            "{} {}, {split} split of {}, normalised by {}, on {:?}",
            subject.network.architecture().name,
            self.weights_sha256,
            subject.data.fingerprint,
            subject.recipe.normalize,
            subject.device()
        );
        let store = self.out.map(|folder| landscape::Store { folder, identity });
        let settings = self.arguments.landscape.settings();
        let outcome = landscape::analyse(subject, &settings, store.as_ref())?;
        let closed = self.close(start, outcome, landscape::headline)?;
        if let (Some(folder), (_, true)) = (self.out, &closed) {
            landscape::forget(folder);
        }
        Ok(closed)
    }

    fn close<Row: Serialize>(
        &self,
        start: Instant,
        outcome: Outcome<Row>,
        headline: impl Fn(&[Row]) -> String,
    ) -> Result<(Option<Output>, bool)> {
        if outcome.images == 0 {
            return Ok((None, false));
        }
        let subject = self.subject;
        let network = subject.network.architecture().name;
        let (split, _) = subject.chosen(self.kind);
        if let Some(folder) = self.out {
            let mut record = AnalysisRecord {
                kind: self.kind,
                complete: outcome.complete,
                network,
                weights_sha256: self.weights_sha256.to_string(),
                normalize: subject.recipe.normalize,
                split,
                images: outcome.images,
                seed: subject.seed,
                seconds: start.elapsed().as_secs_f64(),
                settings: outcome.settings.clone(),
                summary: outcome.summary.clone(),
                files: Default::default(),
                dataset: DatasetRecord::from(subject.data),
                provenance: Provenance::now(subject.device()),
            };
            record.write(folder, &outcome.rows)?;
        }
        if !self.arguments.json {
            let state = if outcome.complete { "" } else { ", stopped before its end" };
            print(&format!(
                "{}: {network}, {} {split} images{state}: {}",
                self.kind,
                outcome.images,
                headline(&outcome.rows)
            ))?;
            if let Some(folder) = self.out {
                print(&format!("  {}", folder.join(csv_name(self.kind)).display()))?;
            }
        }
        let output = Output {
            kind: self.kind,
            network,
            dataset: subject.data.name,
            split,
            images: outcome.images,
            complete: outcome.complete,
            settings: outcome.settings,
            summary: outcome.summary,
            rows: serde_json::to_value(&outcome.rows)?,
        };
        Ok((Some(output), outcome.complete))
    }
}

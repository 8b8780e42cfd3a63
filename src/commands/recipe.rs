//! `recipe`: every key of a recipe, and a file with them.

use anyhow::Result;
use clap::Args;
use comfy_table::{ColumnConstraint, ContentArrangement, presets};
use serde::Serialize;

use crate::commands::options::RecipeValues;
use crate::config::dataset_name::DatasetName;
use crate::config::network_name::NetworkName;
use crate::config::recipe::Recipe;
use crate::config::reference::{KeyRow, rows, shown, to_toml};
use crate::config::settings::{canonical_key, unknown_key};
use crate::console::output::{print, print_json};
use crate::error::{BadInput, EXIT_DONE, bad_input};
use crate::network::architecture;

/// Widest table, in columns of a terminal: as wide as help texts.
const WIDTH: u16 = 110;

/// Print every key of the recipe, or write a recipe file
///
/// Each key with its value, what it is where nothing is given, what it may be, and the sections of
/// the paper that state it. The value has --recipe, --set and --iterations applied: what a run would
/// be trained with.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  resnet-repro recipe                                             the paper's recipe for CIFAR-10
  resnet-repro recipe weight_decay milestones                     these alone
  resnet-repro recipe --dataset imagenet --json
  resnet-repro recipe --network resnet-110 --iterations 400       what a shorter run is trained with
  resnet-repro recipe --set lr=0.05 --toml > mine.toml            then edit it, and
  resnet-repro train --network resnet-20 --dataset cifar10 --recipe mine.toml")]
pub struct Arguments {
    /// Only these keys
    #[arg(value_name = "KEY", conflicts_with = "toml")]
    keys: Vec<String>,
    /// Dataset whose recipe it is
    #[arg(long, value_name = "NAME", default_value_t = DatasetName::Cifar10)]
    dataset: DatasetName,
    /// Network: from 110 layers on, those for CIFAR-10 start with the warm-up
    #[arg(long, value_name = "NAME")]
    network: Option<NetworkName>,
    #[command(flatten)]
    values: RecipeValues,
    /// Print a file that --recipe of train, compare and sweep takes
    #[arg(long, conflicts_with = "json")]
    toml: bool,
    /// Print the keys as JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Output {
    dataset: DatasetName,
    network: Option<NetworkName>,
    keys: Vec<KeyRow>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { dataset, network, .. } = *arguments;
    let depth = network.map_or(0, NetworkName::depth);
    let default =
        Recipe::resolve(dataset, depth, None, &toml::Table::new()).map_err(BadInput::from)?;
    let recipe = arguments.values.resolve(dataset, depth)?;
    if let Some(network) = network {
        let classes = dataset.classes() as i64;
        architecture::build(network, dataset.family(), recipe.image_side(), classes)?;
    }
    let rows = asked_for(&arguments.keys, rows(&recipe, &default))?;
    let subject = network.map_or(String::new(), |network| format!("{network} on "));
    if arguments.json {
        print_json(&Output { dataset, network, keys: rows })?;
    } else if arguments.toml {
        let title =
            format!("# Recipe of {subject}{dataset}, for --recipe of train, compare, sweep.");
        // Only a warm-up that was asked for is stated without a network.
        let any_depth = network.is_none() && recipe.warmup == default.warmup;
        print(&format!("{title}\n{}", to_toml(&rows, any_depth).trim_end()))?;
    } else {
        print(&table(&rows))?;
        let has_warmup = rows.iter().any(|row| row.key == "warmup");
        let any = (network.is_none() && has_warmup)
            .then_some("warmup: true from 110 layers on (--network NAME)\n");
        let aliases = aliases(&rows);
        print(&format!(
            "{}Sections are the paper's, arXiv 1512.03385{}{aliases}",
            any.filter(|_| dataset == DatasetName::Cifar10).unwrap_or_default(),
            if aliases.is_empty() { "" } else { "; other names: " }
        ))?;
    }
    Ok(EXIT_DONE)
}

/// The rows of these keys, or all where none is named.
fn asked_for(keys: &[String], mut rows: Vec<KeyRow>) -> Result<Vec<KeyRow>, BadInput> {
    let keys: Vec<&str> = keys.iter().map(|key| canonical_key(key)).collect();
    if let Some(key) = keys.iter().find(|key| rows.iter().all(|row| row.key != **key)) {
        return Err(bad_input(unknown_key(key)));
    }
    rows.retain(|row| keys.is_empty() || keys.contains(&row.key));
    Ok(rows)
}

fn table(rows: &[KeyRow]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["key", "value", "default", "range", "meaning", "section"]);
    for row in rows {
        table.add_row([
            row.key.to_string(),
            shown(row.value.as_ref()),
            shown(row.default.as_ref()),
            row.range.to_string(),
            row.meaning.replace('`', ""),
            row.paper.unwrap_or("–").to_string(),
        ]);
    }
    // Keys are copied: they stay in one piece.
    if let Some(keys) = table.column_mut(0) {
        keys.set_constraint(ColumnConstraint::ContentWidth);
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// "lr (learning_rate), …".
fn aliases(rows: &[KeyRow]) -> String {
    let names = rows.iter().flat_map(|row| {
        row.aliases.iter().map(|alias| format!("{alias} ({})", row.key)).collect::<Vec<_>>()
    });
    names.collect::<Vec<_>>().join(", ")
}

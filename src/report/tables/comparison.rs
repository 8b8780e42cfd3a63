//! The table of a comparison.

use crate::report::comparison::{Comparison, NetworkSummary};
use crate::report::format::{percent, thousands};
use crate::report::tables::table::{Style, render};

/// The table of a comparison. Columns that would be empty throughout (validation, the paper's
/// values) are left out.
pub fn comparison(comparison: &Comparison, style: Style) -> String {
    let networks = &comparison.networks;
    let window = format!("training error (last {})", comparison.training_error_window);
    let mut header = vec!["network", "parameters", &window, "final test error", "best test error"];
    let has = |value: fn(&NetworkSummary) -> bool| networks.iter().any(value);
    let (selected, paper) = (
        has(|network| network.selected_test_error.is_some()),
        has(|network| network.paper_test_error.is_some()),
    );
    if selected {
        header.push("selected on validation");
    }
    if paper {
        header.extend(["paper's test error", "deviation"]);
    }
    let rows: Vec<Vec<String>> =
        networks
            .iter()
            .map(|network| {
                let mut row = vec![network.network.to_string(), thousands(network.parameters)];
                row.extend(
                    [network.training_error, network.final_test_error, network.best_test_error]
                        .map(percent),
                );
                if selected {
                    row.push(percent(network.selected_test_error));
                }
                if paper {
                    let approximately = if network.paper_approximate { "≈ " } else { "" };
                    row.push(
                        network
                            .paper_test_error
                            .map_or("–".into(), |error| format!("{approximately}{error:.2} %")),
                    );
                    row.push(network.deviation.map_or("–".into(), |deviation| {
                        format!("{approximately}{deviation:+.2}")
                    }));
                }
                row
            })
            .collect();
    render(&header, &rows, style)
}

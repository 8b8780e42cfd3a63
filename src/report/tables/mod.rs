//! The tables of a protocol.

pub mod cell;
pub mod claims;
pub mod comparison;
pub mod cost;
pub mod latex;
pub mod numeral;
pub mod pairs;
pub mod runs;
pub mod summary;
pub mod table;
pub mod table_1;
pub mod table_5;
pub mod table_6;
pub mod tables_2_to_4;
pub mod training_errors;

use crate::config::network_name::Family;
use crate::report::protocol::Protocol;
use crate::report::tables::runs::runs;
use crate::report::tables::table::Table;
use crate::report::tables::table_5::{Ensemble, table_5};
use crate::report::tables::table_6::test_errors;
use crate::report::tables::training_errors::training_errors;

/// Every table of the protocol; `ensembles` are those of its networks.
pub fn tables(protocol: &Protocol, ensembles: &[Ensemble]) -> Vec<Table> {
    let mut tables = match protocol.family() {
        Family::Cifar => Vec::new(),
        Family::Imagenet if !protocol.is_beside_paper() => {
            let mut own = vec![table_1::table_1(protocol)];
            own.extend(tables_2_to_4::own_images(protocol));
            own.extend((!ensembles.is_empty()).then(|| table_5(protocol, ensembles)));
            own
        }
        Family::Imagenet => vec![
            table_1::table_1(protocol),
            tables_2_to_4::table_2(protocol),
            tables_2_to_4::table_3(protocol),
            tables_2_to_4::table_4(protocol),
            table_5(protocol, ensembles),
        ],
    };
    tables.extend([
        test_errors(protocol),
        training_errors(protocol),
        pairs::table(protocol),
        runs(protocol),
    ]);
    tables
}

//! The ledger of claims as a table.

use crate::report::claims::Judged;
use crate::report::claims::ruling::Verdict;
use crate::report::tables::table::{Column, RowKind, Table};

/// A column of this table.
type Of<'a> = Column<'a, &'a Judged>;

/// One row a claim, in the order of `claims.toml`.
pub fn table(ledger: &[Judged]) -> Table {
    let rows: Vec<(RowKind, &Judged)> = ledger.iter().map(|one| (kind(one.verdict), one)).collect();
    let columns = vec![
        Of::words("claim", |one| one.claim.clone()).detail(),
        Of::words("source", |one| format!("{}, {}", one.source.title(), one.section)),
        Of::words("sentence", |one| one.sentence.clone()),
        Of::words("paper", |one| one.paper.clone()),
        Of::words("verdict", |one| one.verdict.to_string()),
        Of::words("numbers", |one| one.numbers.clone()),
        Of::words("rule", |one| one.rule.clone()).detail(),
        Of::words("runs", |one| one.runs.join(", ")).detail(),
        Of::words("command", |one| one.command.clone().unwrap_or_default()).detail(),
    ];
    let caption = "What the paper and those that followed it claim, judged by the runs here. Only \
                   the paper's own protocol (or the networks alone) confirms or contradicts; a \
                   smaller one can confirm at small scale. The command makes the evidence for what \
                   is not settled.";
    Table::new(("claims", "Claims"), caption, columns, &rows)
}

fn kind(verdict: Verdict) -> RowKind {
    match verdict {
        Verdict::NotTestedYet => RowKind::Missing,
        Verdict::Inconclusive => RowKind::Partial,
        Verdict::Confirmed | Verdict::Contradicted | Verdict::ConfirmedAtSmallScale => {
            RowKind::Whole
        }
    }
}

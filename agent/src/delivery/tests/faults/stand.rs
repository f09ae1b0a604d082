//! What the points have in common: the table, and rows that refuse.

use std::collections::BTreeSet;

use causeway_proto::dataset::{Dataset, Value};
use dicom_core::{Tag, VR};
use sqlx::AssertSqlSafe;

use crate::spool::tests::Bench;

/// What happened at each point.
#[derive(Default)]
pub(super) struct Table(Vec<(String, String)>);

impl Table {
    pub(super) fn add(&mut self, point: &str, happened: String) {
        // a line at a time: of a failure the points before it are seen
        eprintln!("{:>3}  {point:<56} {happened}", self.0.len() + 1);
        self.0.push((point.to_owned(), happened));
    }

    /// How many points have a name of their own.
    pub(super) fn points(&self) -> usize {
        let names: BTreeSet<&str> = self.0.iter().map(|(point, _)| point.as_str()).collect();
        names.len()
    }
}

/// Changes rows behind everybody's back.
pub(super) async fn sql(bench: &Bench, statement: &str) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// The first column of the one row that is asked for.
pub(super) async fn text(bench: &Bench, query: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap()
}

/// An object of the harmed patient with its character set.
pub(super) fn object(study: &str, instance: &str, patient: &str, set: &str) -> Dataset {
    let mut it = Dataset::new();
    for (tag, vr, value) in [
        ((0x0008, 0x0005), VR::CS, set),
        ((0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY"),
        ((0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.2"),
        ((0x0008, 0x0018), VR::UI, instance),
        ((0x0008, 0x0050), VR::SH, "ACC-1"),
        ((0x0010, 0x0010), VR::PN, "Blomqvist^Zoe"),
        ((0x0010, 0x0020), VR::LO, patient),
        ((0x0020, 0x000D), VR::UI, study),
        ((0x0020, 0x000E), VR::UI, "1.2.3.4"),
        ((0x0028, 0x0004), VR::CS, "MONOCHROME2"),
    ] {
        it.put_text(Tag(tag.0, tag.1), vr, value);
    }
    it.put(Tag(0x7FE0, 0x0010), VR::OW, Value::Bytes(vec![7; 4096]));
    it
}

//! Tests across crates: harness, stand-in PACS, demo, system, interop, browser, tidy and bench.

pub mod hospital;
pub mod long;
pub mod pacs;
pub mod phantom;
pub mod planted;
pub mod reader;
pub mod sender;
pub mod shared;
pub mod stack;
pub mod tools;

//! Tests across crates: harness, stand-in PACS, demo, system, interop, browser, tidy and bench.

pub mod calls;
mod cut;
pub mod decoders;
pub mod failing;
pub mod hospital;
pub mod hostile;
pub mod killed;
pub mod long;
pub mod masks;
pub mod outage;
pub mod pacs;
pub mod phantom;
pub mod planted;
pub mod reader;
pub mod relay;
pub mod restored;
pub mod sampled;
pub mod sender;
pub mod shared;
pub mod site;
pub mod site_page;
pub mod soaked;
pub mod stack;
pub mod states;
pub mod tools;
pub mod upgraded;
pub mod writers;

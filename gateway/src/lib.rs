//! The centre: receives studies, routes reading tasks, serves the reading room, signs reports and sends them home.

pub mod access;
pub mod alarm;
pub mod app;
pub mod archive;
pub mod audit;
pub mod config;
pub mod deletion;
pub mod delivery;
pub mod directory;
pub mod eligibility;
pub mod http;
pub mod ingest;
pub mod link;
pub mod observe;
pub mod parts;
pub mod report;
pub mod rows;
pub mod sign;
pub mod talk;
pub mod worklist;

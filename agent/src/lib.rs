//! The hospital's side: an ordinary DICOM node that makes studies durable, forwards them, and brings signed reports home.

pub mod app;
pub mod audit;
pub mod commitment;
pub mod config;
pub mod delivery;
pub mod derive;
pub mod dicom;
pub mod keys;
pub mod link;
pub mod mask;
pub mod observe;
pub mod page;
pub mod protect;
pub mod restore;
pub mod rows;
pub mod spool;
pub mod talk;

//! What both ends must agree on, without IO: identifiers, time, digests, the link protocol, and the report as a document.
//!
//! Nothing here opens a socket or a file, reads a clock or draws a random number: bytes, time and randomness are arguments.

pub mod audit;
pub mod coding;
pub mod dataset;
pub mod dates;
pub mod digest;
pub mod element;
pub mod ids;
pub mod link;
pub mod patient;
pub mod prescan;
#[cfg(test)]
mod public_data;
pub mod random;
pub mod report;
pub mod text;
pub mod time;
